"""What is under way in this process, by effect key.

Two calls with one key share one act: the second waits for the first. An act belongs to its key, not to
the call that began it: when the caller goes away, one that only reads is stopped, and any other goes on
to its deadline, so that its outcome becomes known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha_tools.ports import Effect
from malha_tools.refusals import conflict

_Key: TypeAlias = tuple[str, str]


class _Flight:
    __slots__ = ("arguments_hash", "passengers", "task")

    def __init__(self, arguments_hash: bytes, task: asyncio.Task[ToolResult]) -> None:
        self.arguments_hash = arguments_hash
        self.task = task
        self.passengers = 0


class Flights:
    """The acts under way. :meth:`close` waits for those that nobody else waits for."""

    def __init__(self) -> None:
        self._flights: dict[_Key, _Flight] = {}
        self._tasks: set[asyncio.Task[ToolResult]] = set()

    async def join(
        self, effect: Effect, act: Callable[[], Coroutine[Any, Any, ToolResult]], *, stoppable: bool
    ) -> ToolResult:
        """The outcome of the act under way for this key, or of ``act``, begun now.

        Args:
            effect: whose key it is.
            act: begun in a task of its own, in the caller's context, if none is under way.
            stoppable: whether to cancel it once all its callers went away.

        Raises:
            MalhaError: IDEMPOTENCY_CONFLICT, where the key is under way for something else; and what
                the act raises.
        """
        key = (effect.tenant, effect.key)
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(effect.arguments_hash, asyncio.create_task(act()))
            self._tasks.add(flight.task)
            flight.task.add_done_callback(lambda task: self._landed(key, task))
        elif flight.arguments_hash != effect.arguments_hash:
            raise conflict()
        flight.passengers += 1
        try:
            return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            if stoppable and flight.passengers == 1 and not flight.task.done():
                self._flights.pop(key, None)  # whoever comes now begins anew
                flight.task.cancel()
            raise
        finally:
            flight.passengers -= 1

    async def landed(self, tenant: str, key: str) -> None:
        """Return once nothing is under way for the key, whatever came of it."""
        flight = self._flights.get((tenant, key))
        if flight is not None:
            await asyncio.wait((flight.task,))

    async def close(self) -> None:
        """Wait for every act. Each has a deadline of its own, so this ends."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    def _landed(self, key: _Key, task: asyncio.Task[ToolResult]) -> None:
        self._tasks.discard(task)
        flight = self._flights.get(key)
        if flight is not None and flight.task is task:
            del self._flights[key]
        if not task.cancelled():
            task.exception()  # seen: the caller may have gone, and the record tells the rest
