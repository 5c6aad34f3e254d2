"""The parts of one claimed run, so that each step of it takes one argument."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from google.protobuf.duration_pb2 import Duration

from malha.api.common.v1.usage_pb2 import Usage
from malha.api.cost.v1.cost_service_pb2 import ModelCall, Reservation, Settlement, ToolUse
from malha.api.run.v1.record_pb2 import Abandonment, JournalEvent, StepAbandoned, StepStarted
from malha.api.tools.v1.tool_pb2 import Tool
from malha.clock import Clock
from malha.errors import MalhaError
from malha_planner.agents import Agent
from malha_planner.lease import Lease
from malha_planner.patience import patiently
from malha_planner.ports import Boundaries, Model, Toolbox
from malha_planner.purse import Purse
from malha_planner.screening import Screen
from malha_planner.speaking import Voice
from malha_planner.transcript import Transcript


@dataclass(slots=True)
class ClaimedRun:
    """One run's hold, money, guard, voice, words and means."""

    lease: Lease
    purse: Purse
    screen: Screen
    voice: Voice
    transcript: Transcript
    agent: Agent
    model: Model
    toolbox: Toolbox
    boundaries: Boundaries
    clock: Clock
    leaving: asyncio.Event
    """Set when this process is to end."""
    refusal: MalhaError | None = None
    """Why the run cannot even begin, such as an agent that is gone."""
    cut: dict[str, Usage] = field(default_factory=dict)
    """What was counted, by key, of model calls: one whose answer is not kept is paid by that."""
    model_back_at: float = 0.0
    """Until this monotonic time the model's provider asked not to be called again."""
    _tools: list[Tool] | None = field(default=None)

    async def tools(self) -> list[Tool]:
        """The tools this run may use; asked for once."""
        if self._tools is None:
            self._tools = self.agent.offer(await patiently(self.lease, self.toolbox.list))
        return self._tools

    def reservation(
        self, key: str, *, model: ModelCall | None = None, tool: ToolUse | None = None
    ) -> Reservation:
        """The money to ask for before a call, and how many model calls may follow it."""
        state = self.lease.state
        left = state.accepted.limits.max_iterations - len(self.transcript.turns) - 1
        return Reservation(
            key=key,
            run_id=state.run_id,
            agent=self.agent.name,
            agent_version=self.agent.card.version,
            session_id=state.accepted.session_id,
            further_calls=max(0, left) if model is not None else 0,
            model=model,
            tool=tool,
        )

    def abandon(self, started: StepStarted, how: Abandonment) -> None:
        """Note that a started step will get no result under its key."""
        usage = self.cut.get(started.key)
        abandoned = StepAbandoned(key=started.key, step=started.step, how=how, usage=usage)
        self.lease.notes.add(JournalEvent(step_abandoned=abandoned))

    def give_up(self, started: StepStarted, how: Abandonment) -> None:
        """Abandon a call that may have cost something: what was counted of it is owed, else its ceiling."""
        self.abandon(started, how)
        usage = self.cut.get(started.key)
        self.purse.owe(started, Settlement(at_ceiling=True) if usage is None else Settlement(usage=usage))

    def since(self, begun: float) -> Duration:
        """The time from a monotonic moment to now."""
        elapsed = Duration()
        elapsed.FromNanoseconds(max(0, int((self.clock.monotonic() - begun) * 1e9)))
        return elapsed
