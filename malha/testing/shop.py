"""A worker's whole surroundings in memory, and a way to accept runs and see what became of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime

from google.protobuf.duration_pb2 import Duration

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.planner.v1.agent_pb2 import Agent as Card
from malha.api.run.v1.record_pb2 import (
    Accepted,
    CancelRequested,
    Claimed,
    Content,
    Effect,
    JournalEvent,
    Parked,
    ParkReason,
    Record,
    Replayed,
    RunLimits,
)
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.clock import Clock, SystemClock
from malha.run import RunState, Sealer, fold, run_id_for
from malha.testing.journal import MemoryJournal, MemoryKeyRing
from malha.testing.planner import (
    Crash,
    MemoryDeltas,
    MemoryItem,
    MemoryLedger,
    MemoryToolbox,
    ScriptedModel,
    WordGuard,
    found,
)
from malha.wire.call import acting_for
from malha_planner.agents import Agent, Catalogue
from malha_planner.approval_policy import ApprovalPolicy
from malha_planner.ports import Boundaries, NoBoundaries
from malha_planner.worker import Worker

TENANT = "acme"


class Shop:
    """Everything a run meets, and a way to accept runs and look at what became of them."""

    def __init__(self, clock: Clock | None = None) -> None:
        """`clock` is the journal's: what expires does so by it."""
        self.journal = MemoryJournal(clock)
        self.sealer = Sealer(MemoryKeyRing())
        self.ledger = MemoryLedger()
        self.toolbox = MemoryToolbox()
        self.guard = WordGuard()
        self.deltas = MemoryDeltas()
        self.model = ScriptedModel()
        self.approvals = ApprovalPolicy()
        self.counted = 0
        """How often the ONCE tool "count" acted."""
        self.toolbox.add("add", self._add, price=5)
        self.toolbox.add("count", self._count, effect=Effect.EFFECT_ONCE, price=5)
        self.toolbox.add("free", self._count, effect=Effect.EFFECT_ONCE)

    async def _add(self, arguments: dict[str, object]) -> ToolResult:
        return found(str(sum(int(str(one)) for one in arguments.values())))

    async def _count(self, _arguments: dict[str, object]) -> ToolResult:
        self.counted += 1
        return found(f"counted {self.counted}")

    def worker(self, boundaries: Boundaries | None = None, *, ack_wait: float = 30.0) -> Worker:
        """A worker process."""
        agent = Agent(
            Card(name="helper", version="7", tools=["*harmless"], model="scripted/m"),
            "You help.",
            self.approvals,
        )
        agent.card.min_tier = Tier.TIER_FREE
        return Worker(
            name="w",
            journal=self.journal,
            sealer=self.sealer,
            catalogue=Catalogue([agent], default="helper"),
            models={"scripted/m": self.model},
            ledger=self.ledger,
            toolbox=self.toolbox,
            guard=self.guard,
            deltas=self.deltas,
            acting=acting_for,
            boundaries=boundaries or NoBoundaries(),
            clock=SystemClock(),
            ack_wait=ack_wait,
        )

    async def accept(
        self,
        text: str = "what is 17 + 23?",
        *,
        agent: str = "helper",
        iterations: int = 5,
        wall_seconds: float = 60.0,
        model_seconds: float = 60.0,
        stream: bool = False,
        further: Sequence[JournalEvent] = (),
    ) -> MemoryItem:
        """Accept a run, with what happens to it at once; the item that hints at it."""
        run_id = run_id_for(TENANT, None)
        wall, model = Duration(), Duration()
        wall.FromMilliseconds(int(wall_seconds * 1000))
        model.FromMilliseconds(int(model_seconds * 1000))
        accepted = Accepted(
            principal=Principal(tenant=TENANT, subject="ana", tier=Tier.TIER_FREE, scopes=["runs"]),
            agent=agent,
            work_class="interactive",
            stream=stream,
            limits=RunLimits(
                max_iterations=iterations,
                max_cost_microusd=10**6,
                max_wall_time=wall,
                max_output_tokens=100,
                max_model_time=model,
            ),
        )
        sealed = await self.sealer.seal(TENANT, run_id, "accepted", Content(text=text))
        event = JournalEvent(accepted=accepted, content=sealed)
        record = Record(tenant=TENANT, run_id=run_id, events=[event, *further])
        entry = await self.journal.append(record, expected=0)
        return MemoryItem(TENANT, run_id, accepted=0 if further else entry.sequence)

    async def parked(self, until: datetime | None) -> MemoryItem:
        """A run that was claimed and waits: until a time, or for a person."""
        parked = Parked(reason=ParkReason.PARK_REASON_OUTCOME_UNKNOWN)
        if until is not None:
            parked.wake_at.FromDatetime(until)
        claimed = JournalEvent(claimed=Claimed(worker="w", item=1, delivery=1))
        return await self.accept(further=[claimed, JournalEvent(parked=parked)])

    async def cancel(self, item: MemoryItem, reason: str = "") -> None:
        """Ask for the run's end, as the gateway does."""
        asked = JournalEvent(cancel_requested=CancelRequested(by="ana"))
        said = await self.sealer.seal(item.tenant, item.run_id, "cancel_requested", Content(comment=reason))
        asked.content.CopyFrom(said)
        await self.append(item, asked)

    async def replay(self, item: MemoryItem) -> None:
        """Open a dead run again, as an operator does."""
        await self.append(item, JournalEvent(replayed=Replayed(by="otto")))

    async def append(self, item: MemoryItem, event: JournalEvent) -> None:
        """Append an event, whoever would write it."""
        last = await self.journal.last_sequence(item.tenant, item.run_id)
        record = Record(tenant=item.tenant, run_id=item.run_id, events=[event])
        await self.journal.append(record, expected=last)

    async def state(self, item: MemoryItem) -> RunState:
        """Where the run stands."""
        return fold(await self.journal.load(item.tenant, item.run_id))

    async def answer(self, item: MemoryItem) -> Content:
        """The answer, opened."""
        state = await self.state(item)
        assert state.answer is not None, state.finished
        return await self.sealer.open(state.tenant, state.run_id, "answered", state.answer)

    async def failure(self, item: MemoryItem) -> tuple[str, str]:
        """Reason and text of a run that did not succeed."""
        state = await self.state(item)
        assert state.finished is not None
        assert state.failure is not None
        content = await self.sealer.open(state.tenant, state.run_id, "finished", state.failure)
        return state.finished.error_reason, content.error_text

    async def crash(self, item: MemoryItem, boundaries: Boundaries) -> MemoryItem:
        """Let a worker die at a boundary; the next delivery of the item."""
        try:
            await self.worker(boundaries).handle(item)
        except Crash:
            assert item.silent, "a dead worker sends nothing"
        else:
            raise AssertionError("the boundary was not reached")
        return replace(item, delivery=item.delivery + 1)

    async def run(self, item: MemoryItem) -> None:
        """Let a worker work on the item."""
        async with asyncio.timeout(10):
            await self.worker().handle(item)


async def until(condition: Callable[[], bool | Awaitable[bool]], *, seconds: float = 10) -> None:
    """Let everything else go on until the condition holds, for so many seconds at most."""
    # no asyncio.timeout: a condition that asks NATS may lose its cancellation (cpython issue 86296)
    deadline = time.monotonic() + seconds
    while not (holds if isinstance(holds := condition(), bool) else await holds):
        assert time.monotonic() < deadline, "the condition does not come to hold"
        await asyncio.sleep(0)
