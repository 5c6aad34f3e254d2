"""A gateway's runs in this process, on a journal in memory and peers that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.cost.v1.budget_pb2 import Budget, BudgetStatus, Scope
from malha.api.gateway.v1.run_pb2 import RunEvent
from malha.api.gateway.v1.run_service_pb2 import CreateRunRequest
from malha.api.guard.v1.guard_service_pb2 import Judgement
from malha.api.planner.v1.agent_pb2 import Agent
from malha.api.run.v1.record_pb2 import Action, Record, RunLimits, Verdict
from malha.clock import SystemClock
from malha.errors import unavailable
from malha.run import Entry, RunState, Sealer, fold
from malha.testing.clock import FakeClock
from malha.testing.journal import MemoryJournal, MemoryKeyRing
from malha.testing.worker import PlayedRun
from malha_gateway.entrance import Entrance, House
from malha_gateway.ports import Cost, Guard, Planner
from malha_gateway.readiness import Readiness
from malha_gateway.remembered import Remembered
from malha_gateway.runs import Runs
from malha_gateway.view import View

ANA = Principal(tenant="acme", subject="ana", key_id="k1", tier=Tier.TIER_PRO, scopes=["runs"])
STRANGER = Principal(tenant="other", subject="eve", key_id="k2", tier=Tier.TIER_PRO, scopes=["runs"])
LIMITS = RunLimits(max_iterations=5, max_cost_microusd=500_000, max_output_tokens=2048)
LIMITS.max_wall_time.seconds = 120
QUESTION = CreateRunRequest(input="What is 17 * 23?")


class _Peers:
    """Guard, planner and cost in one, as far as runs need them."""

    def __init__(self) -> None:
        self.left = 1_000_000
        self.guard_away = False
        self.guard_hangs = False
        self.checked: list[str] = []

    async def check_input(self, text: str, agent: str) -> Judgement:  # noqa: ARG002 - the port names it
        self.checked.append(text)
        if self.guard_hangs:
            await asyncio.Event().wait()
        if self.guard_away:
            raise unavailable("guard")
        if "ignore" in text:
            verdict = Verdict(action=Action.ACTION_BLOCK, rules=["injection.en"], policy="v1")
            return Judgement(verdict=verdict, message="asks to ignore instructions")
        if "529.982" in text:
            verdict = Verdict(action=Action.ACTION_MASK, rules=["cpf"], policy="v1")
            return Judgement(verdict=verdict, text=text.replace("529.982.247-25", "[CPF]"))
        return Judgement(verdict=Verdict(action=Action.ACTION_ALLOW, policy="v1"), text=text)

    async def agents(self) -> Sequence[Agent]:
        return [Agent(name="default", is_default=True, limits=RunLimits(max_iterations=4))]

    async def budgets(self) -> Sequence[BudgetStatus]:
        budget = Budget(scope=Scope.SCOPE_TENANT, limit_microusd=1_000_000)
        return [BudgetStatus(budget=budget, spent_microusd=1_000_000 - self.left)]


class _Nats:
    """A part that may be known to be away."""

    name = "nats"
    away = False

    async def answers(self) -> bool:
        return not self.away

    def known_away(self) -> bool:
        return self.away


class _Opened(MemoryJournal):
    """Says when something was appended. A record can be read ``lag`` loads after it rang. For whoever reads
    on it is ``away`` so many times, and while it ``hangs`` it does not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.appended = asyncio.Event()
        self.lag = 0
        self.away = 0
        self.hangs = False
        self.loads = 0

    async def load(self, tenant: str, run_id: str, *, after: int = 0) -> list[Entry]:
        self.loads += 1
        if after and self.hangs:
            await asyncio.Event().wait()
        if after and self.away:
            self.away -= 1
            raise unavailable("journal")
        entries = await super().load(tenant, run_id, after=after)
        if self.lag and entries and entries[-1].record.events[-1].HasField("finished"):
            self.lag -= 1
            return entries[:-1]
        return entries

    async def append(self, record: Record, *, expected: int) -> Entry:
        entry = await super().append(record, expected=expected)
        self.appended.set()
        return entry


class Gate:
    """The gateway's runs and what stands around them."""

    def __init__(self) -> None:
        self.peers = _Peers()
        self.nats = _Nats()
        self.journal = _Opened()
        self.sealer = Sealer(MemoryKeyRing())
        clock = FakeClock()
        self.readiness = Readiness([self.nats], clock)
        entrance = Entrance(
            journal=self.journal,
            sealer=self.sealer,
            guard=cast(Guard, self.peers),
            planner=cast(Planner, self.peers),
            cost=cast(Cost, self.peers),
            agents=Remembered(clock, fresh=5),
            budgets=Remembered(clock, fresh=0),
            readiness=self.readiness,
            house=House(2000, LIMITS),
            clock=SystemClock(),
        )
        self.runs = Runs(
            entrance=entrance,
            journal=self.journal,
            sealer=self.sealer,
            view=View(self.sealer),
            guard=cast(Guard, self.peers),
            clock=SystemClock(),
        )

    def worker(self, run_id: str) -> PlayedRun:
        """The worker of a run of acme's."""
        return PlayedRun(self.journal, self.sealer, "acme", run_id)

    async def told(self, run_id: str) -> list[RunEvent]:
        """What a stream tells of the run."""
        events: list[RunEvent] = []
        state: RunState | None = None
        for entry in await self.journal.load("acme", run_id):
            state = fold([entry], state)
            events += [event for _, event in await View(self.sealer).events(entry, state)]
        return events

    async def accepted(self) -> Entry:
        """The first record, as soon as it is there."""
        async with asyncio.timeout(5):
            await self.journal.appended.wait()
        return self.journal.entries[-1]
