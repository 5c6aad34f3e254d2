"""A Valkey that may vanish at any time.

Caches and rate limits are conveniences: when their store is away the work goes on without them. So
every command passes here, under a deadline of its own, and an absence is an answer (``None``), counted
and logged. After a failure the store is left alone for a moment, or a hanging one would add its
deadline to every call of the mesh.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from malha.telemetry import log, metrics

T = TypeVar("T")

_DEADLINE = 0.25
_REST_AFTER_FAILURE = 0.5


class Valkey:
    """One pool of connections, shared by a service's cache and limiter.

    Args:
        url: such as ``redis://127.0.0.1:6379``; nothing is connected before the first command.
    """

    def __init__(self, url: str) -> None:
        # a pool that waits for a free connection: the other kind raises, and load would look like absence
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=32,
            timeout=_DEADLINE,
            socket_timeout=_DEADLINE,
            socket_connect_timeout=_DEADLINE,
            retry=Retry(NoBackoff(), 0),
        )
        self._client: Redis = Redis.from_pool(pool)
        self._rest_until = 0.0

    async def attempt(self, part: str, command: Callable[[Redis], Awaitable[T]]) -> T | None:
        """What the store answered; None where it is away.

        Args:
            part: who asks ("cache", "rate_limiter"), for the metric and the log.
            command: is given the client.
        """
        if time.monotonic() < self._rest_until:
            metrics.LIMITS_FAILED_OPEN.labels(part).inc()
            return None
        try:
            return await command(self._client)
        except (RedisError, OSError) as error:
            self._rest_until = time.monotonic() + _REST_AFTER_FAILURE
            metrics.LIMITS_FAILED_OPEN.labels(part).inc()
            log.warning("valkey_away", part=part, error=type(error).__name__)
            return None

    @property
    def away(self) -> bool:
        """Whether the last command failed only a moment ago."""
        return time.monotonic() < self._rest_until

    async def ping(self) -> bool:
        """Whether the store answers now."""

        async def ask(client: Redis) -> Any:
            return await client.ping()

        return bool(await self.attempt("ping", ask))

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()
