"""A run, its worker, and whoever watches it, on a journal in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.gateway.v1.run_pb2 import RunEvent
from malha.api.run.v1.record_pb2 import (
    Accepted,
    Content,
    JournalEvent,
    Record,
    Replayed,
)
from malha.errors import unavailable
from malha.run import (
    Entry,
    Position,
    Sealer,
    StreamPosition,
    run_id_for,
)
from malha.testing.journal import MemoryJournal, MemoryKeyRing
from malha.testing.planner import MemoryDeltas
from malha.testing.worker import PlayedRun
from malha.wire import acting_for
from malha_gateway.following import Following
from malha_gateway.view import View

BEGINNING = StreamPosition(Position(0, 0))


class FlakyJournal(MemoryJournal):
    """Refuses its next reads when told to, or hides the last record from them, and counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals = 0
        self.lag = 0
        self.loads = 0
        self.back = asyncio.Event()

    async def load(self, tenant: str, run_id: str, *, after: int = 0) -> list[Entry]:
        self.loads += 1
        if self.refusals:
            self.refusals -= 1
            if not self.refusals:
                self.back.set()
            raise unavailable("journal")
        entries = await super().load(tenant, run_id, after=after)
        if self.lag and entries:
            self.lag -= 1
            return entries[:-1]
        return entries


class Watched:
    """A run, its worker and a following."""

    def __init__(self, patience: float = 30.0) -> None:
        self.journal = FlakyJournal()
        self.sealer = Sealer(MemoryKeyRing())
        self.view = View(self.sealer)
        self.run_id = run_id_for("acme", None)
        self.worker = PlayedRun(self.journal, self.sealer, "acme", self.run_id)
        self.deltas = MemoryDeltas()
        self.following = Following(self.journal, self.deltas, self.view, acting_for, patience=patience)

    async def accept(self) -> None:
        """Open the run, as the gateway does."""
        content = await self.sealer.seal("acme", self.run_id, "accepted", Content(text="17 * 23?"))
        accepted = Accepted(
            principal=Principal(tenant="acme"),
            agent="default",
            traceparent="00-" + "ab" * 16 + "-" + "cd" * 8 + "-01",
        )
        record = Record(
            tenant="acme", run_id=self.run_id, events=[JournalEvent(accepted=accepted, content=content)]
        )
        await self.journal.append(record, expected=0)

    async def replay(self) -> None:
        """Open it again, as an operator does."""
        entries = await self.journal.load("acme", self.run_id)
        record = Record(
            tenant="acme", run_id=self.run_id, events=[JournalEvent(replayed=Replayed(by="otto"))]
        )
        await self.journal.append(record, expected=entries[-1].sequence)

    async def read(self, after: StreamPosition = BEGINNING, *, at_most: int = 10_000) -> list[RunEvent]:
        """What a reader is told after a position, until the run is over or it has enough."""
        events: list[RunEvent] = []
        async with aclosing(self.following.follow("acme", self.run_id, after, idle=5)) as stream:
            async for event in stream:
                if event is not None:
                    events.append(event)
                if len(events) == at_most:
                    break
        return events


@asynccontextmanager
async def watched(patience: float = 30.0) -> AsyncIterator[Watched]:
    """A run that was accepted, and a following for the length of the block."""
    made = Watched(patience)
    await made.accept()
    async with made.following:
        yield made


KINDS = [
    "accepted",
    "claimed",
    *["step_started", "step_finished"] * 3,
    "answered",
    "finished",
]
"""What a stream tells of a run as ``PlayedRun.play`` leaves it."""
