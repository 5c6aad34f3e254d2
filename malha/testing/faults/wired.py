"""A service whose parts reach a tripwire before and after whatever they write, send or serve.

The composition root of a service names its parts; here some of those names stand for a wired subclass
of the same part. The service's own code is what ships, and knows nothing of it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import signal
from collections.abc import Callable
from types import ModuleType
from typing import Any

from malha.api.run.v1.record_pb2 import Record
from malha.testing.faults.tripwires import Tripwires

# The first of these that a record holds gives the append its name.
_APPENDS = {
    "accepted": "accepted",
    "cancel_requested": "cancel",
    "claimed": "claim",
    "finished": "end",
    "parked": "parked",
    "step_started": "intention",
    "step_finished": "result",
    "step_abandoned": "result",
}


def wire(service: str, app: ModuleType, wires: Tripwires) -> None:
    """Put the wired parts into the service's composition root."""
    point = functools.partial(_point, wires, service)
    for name, wired in _PARTS.items():
        if hasattr(app, name):
            setattr(app, name, wired(getattr(app, name), point))


class _Between:
    """``async with``: the points before and after the block; a block that fails has no after."""

    def __init__(self, wires: Tripwires, name: str) -> None:
        self._wires = wires
        self._name = name
        self._doomed = False

    async def __aenter__(self) -> None:
        self._doomed = await self._wires.reach(f"{self._name}.before")

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._doomed:
            os.kill(os.getpid(), signal.SIGKILL)
        if kind is None:
            await self._wires.reach(f"{self._name}.after")


Point = Callable[[str], _Between]
"""From "append.claim" to the two points around it."""


def _point(wires: Tripwires, service: str, name: str) -> _Between:
    return _Between(wires, f"{service}.{name}")


def _journal(part: Any, point: Point) -> Any:
    class Wired(part):  # type: ignore[misc] # the part is known at run time only
        async def append(self, record: Record, *, expected: int) -> Any:
            async with point(f"append.{kind_of(record)}"):
                return await super().append(record, expected=expected)

    return Wired


def _peer(part: Any, point: Point) -> Any:
    class Wired(part):  # type: ignore[misc] # the part is known at run time only
        async def call(self, method: Any, request: Any, **how: Any) -> Any:
            rpc = method.method.rpartition("/")[2]
            async with point(f"call.{rpc}"):
                return await super().call(method, request, **how)

    return Wired


def _server(part: Any, point: Point) -> Any:
    class Wired(part):  # type: ignore[misc] # the part is known at run time only
        def add(self, register: Any, servicer: object, **how: Any) -> None:
            super().add(register, _Servicer(servicer, point), **how)

    return Wired


class _Servicer:
    """A servicer whose unary handlers are wired; streams are as they were."""

    def __init__(self, servicer: object, point: Point) -> None:
        self._servicer = servicer
        self._point = point

    def __getattr__(self, rpc: str) -> Any:
        handler = getattr(self._servicer, rpc)
        if not inspect.iscoroutinefunction(handler):
            return handler

        @functools.wraps(handler)
        async def wired(request: Any, context: Any) -> Any:
            async with self._point(f"serve.{rpc}"):
                return await handler(request, context)

        return wired


def _effects(part: Any, point: Point) -> Any:
    class Wired(part):  # type: ignore[misc] # the part is known at run time only
        async def begin(self, *args: Any) -> Any:
            async with point("effect.begin"):
                return await super().begin(*args)

        async def finish(self, *args: Any) -> Any:
            async with point("effect.finish"):
                return await super().finish(*args)

    return Wired


def _announcer(part: Any, point: Point) -> Any:
    class Wired(part):  # type: ignore[misc] # the part is known at run time only
        async def publish(self, events: Any, *, fence: int) -> Any:
            if not events:
                return await super().publish(events, fence=fence)
            async with point("announce"):
                return await super().publish(events, fence=fence)

    return Wired


def _waker(part: Any, point: Point) -> Any:
    class Wired(part):  # type: ignore[misc] # the part is known at run time only
        async def wake(self, hints: Any) -> Any:
            if not hints:
                return await super().wake(hints)
            async with point("wake"):
                return await super().wake(hints)

    return Wired


def _table(part: Any, point: Point) -> Any:
    class Wired(part):  # type: ignore[misc] # the part is known at run time only
        async def upsert(self, *args: Any, **how: Any) -> Any:
            async with point("upsert"):
                return await super().upsert(*args, **how)

    return Wired


def _worker(part: Any, point: Point) -> Any:
    class Wired(part):  # type: ignore[misc] # the part is known at run time only
        async def handle(self, item: Any) -> None:
            await super().handle(_Item(item, point))

    return Wired


class _Item:
    """A work item whose acknowledgement is wired."""

    def __init__(self, item: Any, point: Point) -> None:
        self._item = item
        self._point = point

    def __getattr__(self, name: str) -> Any:
        return getattr(self._item, name)

    async def ack(self) -> None:
        async with self._point("ack"):
            await self._item.ack()
            await asyncio.sleep(0)  # let it leave


def kind_of(record: Record) -> str:
    """What an append of this record is called."""
    held = {event.WhichOneof("event") for event in record.events}
    return next((name for event, name in _APPENDS.items() if event in held), "other")


_PARTS: dict[str, Callable[[Any, Point], Any]] = {
    "NatsJournal": _journal,
    "Peer": _peer,
    "Server": _server,
    "SqliteEffectRecords": _effects,
    "NatsAnnouncer": _announcer,
    "NatsWaker": _waker,
    "SqliteRunsTable": _table,
    "Worker": _worker,
}
