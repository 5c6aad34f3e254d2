"""Texts on their way to whoever listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from malha.api.run.v1.delta_pb2 import Delta


class MemoryDeltas:
    """Deltas to whoever listens in this process; all of them are kept as well."""

    def __init__(self) -> None:
        self.told: list[Delta] = []
        self._listeners: dict[asyncio.Queue[Delta], tuple[str, str]] = {}

    async def publish(self, delta: Delta) -> None:
        self.told.append(delta)
        for heard, run in self._listeners.items():
            if run == (delta.tenant, delta.run_id):
                heard.put_nowait(delta)

    @asynccontextmanager
    async def listen(self, tenant: str, run_id: str) -> AsyncIterator[AsyncIterator[Delta]]:
        heard: asyncio.Queue[Delta] = asyncio.Queue()
        self._listeners[heard] = (tenant, run_id)

        async def deltas() -> AsyncIterator[Delta]:
            while True:
                yield await heard.get()

        try:
            yield deltas()
        finally:
            del self._listeners[heard]
