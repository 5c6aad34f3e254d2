"""A Valkey that may vanish at any time.

Caches and rate limits are conveniences: when their store is away the work goes on without them. So
every command passes here, under a deadline, and an absence is an answer (None), counted and logged.
After a failure the store is left alone for a moment, or a hanging one would add its deadline to every
call of the mesh.

Commands that wait together travel together, on one connection: one by one through the client's pool
they took a fifth of the gateway's CPU for accepting a run.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from contextvars import Context
from types import TracebackType
from typing import Any

from redis.asyncio import ConnectionPool
from redis.exceptions import NoScriptError, RedisError, ResponseError

from malha.telemetry import log, metrics

_DEADLINE = 0.25
_LOOKS = 8
"""Turns of the loop in which an answer may still be read after the deadline."""
_REST_AFTER_FAILURE = 0.5
_BATCH = 128
_WAITING = 4096

Command = tuple[str | bytes | int, ...]


class Valkey:
    """One connection, shared by a service's cache and limiter.

    Args:
        url: such as ``redis://127.0.0.1:6379``; nothing is connected before the first command.
    """

    def __init__(self, url: str) -> None:
        # the pool only to make a connection of the kind the url asks for; deadlines are kept here
        pool = ConnectionPool.from_url(url, socket_timeout=None)
        self._connection = pool.make_connection()  # type: ignore[no-untyped-call] # redis leaves it untyped
        self._waiting: deque[tuple[Command, asyncio.Future[Any]]] = deque()
        self._carrier: asyncio.Task[None] | None = None
        self._rest_until = 0.0

    async def ask(self, part: str, *command: str | bytes | int) -> Any:
        """What the store answered to ``command``; None where it is away.

        Args:
            part: who asks ("cache", "rate_limiter"), for the metric and the log.

        Raises:
            NoScriptError: the store does not know the script any more; send it.
        """
        if self.away or len(self._waiting) >= _WAITING:
            metrics.LIMITS_FAILED_OPEN.labels(part).inc()
            return None
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        if self._carrier is None or self._carrier.done():
            # in no call's context: the connection that it opens would keep it, and the credential in it
            self._carrier = asyncio.create_task(self._carry(), context=Context())
        try:
            return await answer
        except NoScriptError:
            raise
        except (RedisError, OSError) as error:  # a deadline that passed is an OSError
            metrics.LIMITS_FAILED_OPEN.labels(part).inc()
            if isinstance(error, ResponseError):
                log.warning("valkey_refused", part=part, error=type(error).__name__)
            return None

    @property
    def away(self) -> bool:
        """Whether the store failed only a moment ago."""
        return time.monotonic() < self._rest_until

    async def ping(self) -> bool:
        """Whether the store answers now."""
        return await self.ask("ping", "PING") is not None

    async def close(self) -> None:
        """Give the connection back."""
        if self._carrier is not None:
            self._carrier.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._carrier
        await self._connection.disconnect(nowait=True)

    async def _carry(self) -> None:
        """Take batches to the store until nothing waits."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            try:
                async with _HeardOut(_DEADLINE):
                    await self._exchange(batch)
            except Exception as error:  # whatever it is, nobody may be left waiting
                self._rest_until = time.monotonic() + _REST_AFTER_FAILURE
                unanswered = [answer for _, answer in (*batch, *self._waiting) if not answer.done()]
                self._waiting.clear()
                for answer in unanswered:
                    answer.set_exception(error)
                # once for all of them: a store that is away must not flood the log that tells of it
                log.warning("valkey_failed", error=type(error).__name__, commands=len(unanswered))
                await self._connection.disconnect(nowait=True)
            except asyncio.CancelledError:
                for _, answer in (*batch, *self._waiting):
                    answer.cancel()
                raise

    async def _exchange(self, batch: list[tuple[Command, asyncio.Future[Any]]]) -> None:
        packed = self._connection.pack_commands(command for command, _ in batch)
        await self._connection.send_packed_command(packed, check_health=False)
        for _, answer in batch:
            try:
                reply = await self._connection.read_response()
            except ResponseError as error:  # the answer to this one command; the others have theirs
                if not answer.done():
                    answer.set_exception(error)
            else:
                if not answer.done():
                    answer.set_result(reply)


class _HeardOut:
    """A deadline for the other side: TimeoutError after ``seconds`` and a few turns of the loop.

    Where the loop itself was late, the answer lies unread in the socket when the time is up. Without
    those turns a crowd at the gateway would look like an absent store.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._watch: asyncio.Handle = self._loop.call_later(self._seconds, self._late, _LOOKS)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.cancel()
        await self._limit.__aexit__(kind, error, trace)

    def _late(self, looks: int) -> None:
        if looks:
            self._watch = self._loop.call_soon(self._late, looks - 1)
        else:
            self._limit.reschedule(self._loop.time())
