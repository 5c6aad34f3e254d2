"""Where runs come in: what is asked is admitted, sealed and stored, and a retry gets the run it made.

Peers are asked for the current call's principal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from malha import telemetry
from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.cost.v1.budget_pb2 import BudgetStatus
from malha.api.gateway.v1.run_service_pb2 import CreateRunRequest
from malha.api.planner.v1.agent_pb2 import Agent
from malha.api.run.v1.record_pb2 import Accepted, Content, JournalEvent, RunLimits
from malha.clock import Clock
from malha.errors import ErrorReason, MalhaError
from malha.ids import made_at
from malha.run import Journal, RunState, Sealer, accept, fold_whatever, refuse_other, run_id_for
from malha_gateway.admission import (
    check_budgets,
    check_input,
    check_judgement,
    choose_agent,
    request_hash,
    resolve_limits,
)
from malha_gateway.ports import Cost, Guard, Planner
from malha_gateway.readiness import Readiness
from malha_gateway.records import record_of
from malha_gateway.remembered import Remembered

_YOUNG = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class House:
    """The mesh's own rules for runs."""

    max_input_characters: int
    limits: RunLimits
    """Used where an agent says nothing; nothing here is zero."""


class Entrance:
    """Accepts runs.

    Args:
        agents: those within reach of a tenant and tier, as they were a moment ago.
        budgets: those of a tenant and key, as they were a moment ago.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        sealer: Sealer,
        guard: Guard,
        planner: Planner,
        cost: Cost,
        agents: Remembered[tuple[str, Tier], Sequence[Agent]],
        budgets: Remembered[tuple[str, str], Sequence[BudgetStatus]],
        readiness: Readiness,
        house: House,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._sealer = sealer
        self._guard = guard
        self._planner = planner
        self._cost = cost
        self._agents = agents
        self._budgets = budgets
        self._readiness = readiness
        self._house = house
        self._clock = clock

    async def agents(self, principal: Principal) -> Sequence[Agent]:
        """The agents within reach, the default first; at most a few seconds old."""
        return await self._agents.get((principal.tenant, principal.tier), self._planner.agents)

    async def accept(self, principal: Principal, run_id: str, request: CreateRunRequest) -> RunState:
        """The run that a request opens, or opened before; once this answers, it will end.

        Raises:
            MalhaError: FIELD_INVALID, AGENT_NOT_FOUND, GUARD_BLOCKED, BUDGET_EXCEEDED,
                IDEMPOTENCY_CONFLICT, DEPENDENCY_UNAVAILABLE.
        """
        # An archived run refuses nothing by itself, for its place in the stream is free: so it is looked for,
        # unless the key is too young for that. The young are refused by the stream, which costs nothing here.
        key = request.idempotency_key
        young = self._is_young(key)
        if key and not young and (state := await self._known(principal, run_id, request)):
            return state
        try:
            accepted, text = await self._admit(principal, request)
        except MalhaError as refusal:
            # A retry is answered with its run, whatever guard or budget say by now.
            if young and (state := await self._stands(principal, run_id, request, refusal)):
                return state
            raise
        sealed = await self._sealer.seal(principal.tenant, run_id, "accepted", Content(text=text))
        event = JournalEvent(accepted=accepted, content=sealed)
        return await accept(self._journal, record_of(event, principal.tenant, run_id, self._clock))

    async def _known(self, principal: Principal, run_id: str, request: CreateRunRequest) -> RunState | None:
        """The run that was opened under the request's key; IDEMPOTENCY_CONFLICT if by another request."""
        entries = await self._journal.load(principal.tenant, run_id)
        if not entries:
            return None
        state = fold_whatever(entries)
        refuse_other(state, request_hash(request))
        return state

    async def _stands(
        self, principal: Principal, run_id: str, request: CreateRunRequest, refusal: MalhaError
    ) -> RunState | None:
        """As `_known`; where nobody can tell, the refusal is what there is to say."""
        try:
            return await self._known(principal, run_id, request)
        except MalhaError as error:
            if error.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE:
                raise refusal from error
            raise

    def _is_young(self, key: str) -> bool:
        """Whether a key is a ULID made a moment ago: no run under it can be in the archive by now."""
        made = made_at(key)
        return made is not None and abs(self._clock.now() - made) < _YOUNG

    async def _admit(self, principal: Principal, request: CreateRunRequest) -> tuple[Accepted, str]:
        """What to accept, and the input as the guard lets it through. Cheap refusals come first."""
        check_input(request.input, self._house.max_input_characters)
        self._readiness.refuse_if_known_away()
        agent = choose_agent(await self.agents(principal), request.agent)
        check_budgets(await self._budgets.get((principal.tenant, principal.key_id), self._cost.budgets))
        judgement = await self._guard.check_input(request.input, agent.name)
        check_judgement(judgement)
        accepted = Accepted(
            principal=principal,
            agent=agent.name,
            request_hash=request_hash(request),
            work_class=request.work_class or agent.work_class or "interactive",
            priority=request.priority,
            limits=resolve_limits(request.limits, agent.limits, self._house.limits),
            session_id=request.session_id,
            stream=request.stream,
            traceparent=telemetry.traceparent(),
            input_verdict=judgement.verdict,
        )
        return accepted, judgement.text


def run_id_of(principal: Principal, request: CreateRunRequest) -> str:
    """The id of the run that a request opens: of its idempotency key, where it has one."""
    return run_id_for(principal.tenant, request.idempotency_key or None)
