"""A run's life as the gateway sees it: accepted, waited for, read, cancelled.

The gateway keeps no state of a run. It appends to the journal what callers cause and folds what is
there; so any replica can serve any call, and none has anything to lose.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from google.protobuf.timestamp_pb2 import Timestamp

from malha import telemetry
from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.cost.v1.budget_pb2 import BudgetStatus
from malha.api.gateway.v1.run_pb2 import Run, RunStatus
from malha.api.gateway.v1.run_service_pb2 import CreateRunRequest
from malha.api.planner.v1.agent_pb2 import Agent
from malha.api.run.v1.record_pb2 import (
    Accepted,
    CancelRequested,
    Content,
    FinalStatus,
    JournalEvent,
    Record,
    RunLimits,
)
from malha.clock import Clock
from malha.errors import ErrorReason, MalhaError, reason_named
from malha.ids import made_at
from malha.run import (
    Journal,
    RunState,
    Sealer,
    accept,
    amend,
    cancelled,
    fold_whatever,
    refuse_other,
    run_id_for,
    untouched,
)
from malha_gateway.admission import (
    check_budgets,
    check_input,
    check_judgement,
    choose_agent,
    request_hash,
    resolve_limits,
)
from malha_gateway.looking import Looking
from malha_gateway.ports import Cost, Guard, Planner
from malha_gateway.readiness import Readiness
from malha_gateway.remembered import Remembered
from malha_gateway.view import View
from malha_gateway.words import let_through

_SLACK_SECONDS = 10.0  # over a run's own time, for its end to be written and read
_TELLING_SECONDS = 2.0  # of a wait of twenty or more
_RAISED = (ErrorReason.ERROR_REASON_BUDGET_EXCEEDED, ErrorReason.ERROR_REASON_GUARD_BLOCKED)
_ENDS = ("finished", "parked")
_YOUNG = timedelta(seconds=30)
_RECENT = 16
"""Records read last, so that their rings are known to be old."""


@dataclass(frozen=True, slots=True)
class House:
    """The mesh's own rules for runs."""

    max_input_characters: int
    limits: RunLimits
    """Used where an agent says nothing; nothing here is zero."""


class Runs:
    """Accepts runs and answers for them. Peers are asked for the current call's principal."""

    def __init__(
        self,
        *,
        journal: Journal,
        sealer: Sealer,
        view: View,
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
        self._view = view
        self._guard = guard
        self._planner = planner
        self._cost = cost
        self._agents = agents
        self._budgets = budgets
        self._readiness = readiness
        self._house = house
        self._clock = clock

    async def create(self, principal: Principal, request: CreateRunRequest) -> Run:
        """Accept a run; once this answers, the run will end.

        Raises:
            MalhaError: FIELD_INVALID, AGENT_NOT_FOUND, GUARD_BLOCKED, BUDGET_EXCEEDED,
                IDEMPOTENCY_CONFLICT, DEPENDENCY_UNAVAILABLE.
        """
        return await self._view.run(await self._accept(principal, _run_id(principal, request), request))

    async def wait(self, principal: Principal, request: CreateRunRequest, *, seconds: float | None) -> Run:
        """Accept a run and answer at its end, or when it waits for a person.

        Args:
            seconds: what the caller has; None waits for as long as the run may take.

        Raises:
            MalhaError: as ``create``; DEADLINE_EXCEEDED (metadata run_id: the run goes on); and
                BUDGET_EXCEEDED or GUARD_BLOCKED where the run ended so.
        """
        run_id = _run_id(principal, request)
        until = self._clock.monotonic() + seconds - _to_tell(seconds) if seconds is not None else None
        # the bell is hung up before the run exists, so that no end can be missed
        async with self._journal.doorbell(principal.tenant, run_id) as bell:
            state = await self._accept(principal, run_id, request)
            if until is None:
                allowed = state.accepted.limits.max_wall_time.seconds
                until = self._clock.monotonic() + allowed + _SLACK_SECONDS
            looking = Looking()
            read: deque[Record] = deque(maxlen=_RECENT)
            while not (state.final or state.parked):
                left = until - self._clock.monotonic()
                if left <= 0:
                    raise MalhaError(
                        ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED,
                        "the run goes on; ask for it by its id",
                        metadata={"run_id": run_id},
                    )
                rang = await bell.wait(min(looking.pause, left))
                if rang is None:
                    looking.looked()
                elif rang in read or _begins(rang):
                    continue
                elif any(event.WhichOneof("event") in _ENDS for event in rang.events):
                    looking.expect()
                # What rang may have been refused: the leader's journal decides. Read as it grows, so that at
                # the end, when the caller waits for nothing else, one record is left to read.
                entries = await self._journal.load(principal.tenant, run_id, after=state.last_sequence)
                read.extend(entry.record for entry in entries)
                fold_whatever(entries, state)
        await self._raise_refusal(state)
        return await self._view.run(state)

    async def get(self, principal: Principal, run_id: str) -> Run:
        """The run with its steps; RUN_NOT_FOUND for another tenant's too."""
        entries = await self._journal.load(principal.tenant, run_id)
        if not entries:
            raise MalhaError(ErrorReason.ERROR_REASON_RUN_NOT_FOUND, "there is no such run")
        return await self._view.run(fold_whatever(entries))

    async def cancel(self, principal: Principal, run_id: str, reason: str) -> Run:
        """Ask for the run's end; asking again changes nothing. One that nobody took yet ends here.

        Of the reason is kept what the guard lets through; it keeps no run from being cancelled.

        Raises:
            MalhaError: RUN_NOT_FOUND; RUN_FINISHED (metadata status).
        """
        return await self.end(principal, run_id, await let_through(self._guard, reason))

    async def end(self, principal: Principal, run_id: str, why: str) -> Run:
        """As ``cancel``, for a reason that is ours."""
        finished, told = cancelled(principal.subject, why)
        seal = partial(self._sealer.seal, principal.tenant, run_id)
        asked = JournalEvent(
            cancel_requested=CancelRequested(by=principal.subject),
            content=await seal("cancel_requested", Content(comment=why)),
        )
        ended = JournalEvent(finished=finished, content=await seal("finished", told))

        def decide(state: RunState) -> Record | None:
            if state.final:
                status = RunStatus.Name(state.status).removeprefix("RUN_STATUS_")
                raise MalhaError(
                    ErrorReason.ERROR_REASON_RUN_FINISHED,
                    f"the run is over: {status}",
                    metadata={"status": status},
                )
            if state.cancel_requested is not None:
                return None
            record = record_of(asked, principal.tenant, run_id, self._clock)
            if untouched(state):
                record.events.append(ended)
            return record

        return await self._view.run(await amend(self._journal, principal.tenant, run_id, decide))

    async def agents(self, principal: Principal) -> Sequence[Agent]:
        """The agents within reach, the default first; at most a few seconds old."""
        return await self._agents.get((principal.tenant, principal.tier), self._planner.agents)

    async def _accept(self, principal: Principal, run_id: str, request: CreateRunRequest) -> RunState:
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

    async def _raise_refusal(self, state: RunState) -> None:
        finished = state.finished
        if finished is None or finished.status != FinalStatus.FINAL_STATUS_FAILED:
            return
        reason = reason_named(finished.error_reason)
        if reason not in _RAISED:
            return
        failure = await self._view.failure(state)
        quota = None
        if reason == ErrorReason.ERROR_REASON_BUDGET_EXCEEDED:
            quota = (failure.metadata["scope"] or "run", failure.message)
        raise MalhaError(
            reason,
            failure.message or "the run was refused",
            metadata={**failure.metadata, "run_id": state.run_id},
            quota=quota,
        )


def _to_tell(seconds: float) -> float:
    """What of a caller's time is kept for telling it which run goes on: later nobody would hear.

    A tenth at most: gRPC rounds a timeout up by a hundredth, and the edge keeps the same time.
    """
    return min(_TELLING_SECONDS, seconds / 10)


def _begins(record: Record) -> bool:
    """Whether all that rang is the beginning, which whoever waits for its end knows."""
    return all(event.HasField("accepted") for event in record.events)


def record_of(event: JournalEvent, tenant: str, run_id: str, clock: Clock) -> Record:
    """The record of one thing that a caller causes."""
    written_at = Timestamp()
    written_at.FromDatetime(clock.now())
    return Record(tenant=tenant, run_id=run_id, events=[event], written_at=written_at)


def _run_id(principal: Principal, request: CreateRunRequest) -> str:
    return run_id_for(principal.tenant, request.idempotency_key or None)
