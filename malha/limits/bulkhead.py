"""Only so many calls at once, only so many waiting: one slow dependency cannot take the whole process.

A call beyond both is refused at once, for a queue without a bound only turns overload into lateness.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from malha.errors import ErrorReason, MalhaError
from malha.telemetry import metrics


class Bulkhead:
    """``async with bulkhead:`` around each call; shared by all tasks of a process.

    Args:
        name: what is protected, as metrics and refused callers see it.
        limit: calls under way at once.
        queue: calls that may wait for a place, in order of arrival. They wait as long as their
            caller lets them: put the deadline around the ``async with``.
        retry_after: seconds a refused caller is asked to stay away.
    """

    def __init__(self, name: str, limit: int, queue: int, *, retry_after: float = 0.5) -> None:
        self.name = name
        self._places = asyncio.Semaphore(limit)
        self._queue = queue
        self._retry_after = retry_after
        self._waiting = 0
        self._in_use = metrics.BULKHEAD_IN_USE.labels(name)

    async def __aenter__(self) -> None:
        if self._places.locked():
            await self._wait()
        else:
            await self._places.acquire()  # does not suspend: a place is free
        self._in_use.inc()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._in_use.dec()
        self._places.release()

    async def _wait(self) -> None:
        if self._waiting >= self._queue:
            metrics.BULKHEAD_REFUSED.labels(self.name).inc()
            raise MalhaError(
                ErrorReason.ERROR_REASON_OVERLOADED,
                f"{self.name} has as much work as it takes",
                retry_after=self._retry_after,
            )
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
