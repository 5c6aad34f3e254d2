"""A run as its callers see it: the fold of its journal, opened.

The journal's state and the contract's ``Run`` are two views of one thing; this is the only place that
knows both. Contents are opened here and nowhere else in the gateway.
"""

from __future__ import annotations

from malha.api.gateway.v1.run_pb2 import (
    Approval,
    Run,
    RunAccepted,
    RunAnswered,
    RunCancelRequested,
    RunClaimed,
    RunDropped,
    RunError,
    RunEvent,
    RunReplayed,
    RunStepSettled,
)
from malha.api.planner.v1.planner_service_pb2 import RunRow
from malha.api.run.v1.delta_pb2 import Delta
from malha.api.run.v1.record_pb2 import (
    Answered,
    CancelRequested,
    Decided,
    Dropped,
    FinalStatus,
    JournalEvent,
    Parked,
    ParkReason,
    Replayed,
)
from malha.run import DELTA, Entry, Position, RunState, Sealer, attempt_hash
from malha.timestamps import stamp
from malha_gateway.approval_view import ApprovalView
from malha_gateway.opening import Opening
from malha_gateway.step_view import StepView

NO_LLM = "Offline model: deterministic and extractive, no LLM was involved."

_OUTCOME_UNKNOWN = "a step with an effect began and nobody knows whether it happened; a person must decide"


class View:
    """Opens a run for the tenant that owns it."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._opening = Opening(sealer)
        self._steps = StepView(self._opening)
        self._approvals = ApprovalView(self._opening)

    async def run(self, state: RunState, *, steps: bool = True) -> Run:
        """The whole run; without its steps where the caller has been told them."""
        accepted = state.accepted
        run = Run(
            run_id=state.run_id,
            agent=accepted.agent,
            status=state.status,
            input=(await self._opening.content(state, "accepted", state.input)).text,
            usage=state.usage,
            cost=state.cost,
            session_id=accepted.session_id,
            create_time=stamp(state.accepted_at),
            trace_id=trace_id_of(accepted.traceparent),
            limits=accepted.limits,
            position=str(state.position),
            approvals=await self._approvals.all(state),
        )
        if steps:
            run.steps.extend(await self._steps.all(state))
        if state.answered is not None:
            answer = await self._opening.content(state, "answered", state.answer)
            run.answer = answer.text
            run.citations.extend(answer.citations)
            run.model = state.answered.model
            run.model_note = _note(state.answered)
        if state.finished is not None:
            if state.finished_at is not None:
                run.finish_time.CopyFrom(stamp(state.finished_at))
            if state.finished.error_reason:
                run.error.CopyFrom(await self.failure(state))
        elif state.parked is not None:
            run.error.CopyFrom(_waiting(state.parked, state))
        return run

    async def failure(self, state: RunState) -> RunError:
        """Why a finished run did not succeed."""
        if state.finished is None:
            return RunError()
        content = await self._opening.content(state, "finished", state.failure)
        facts = dict(state.finished.error_metadata)
        if state.finished.status == FinalStatus.FINAL_STATUS_CANCELLED:
            facts.setdefault("reason", content.comment)  # an earlier version had it in the clear
        return RunError(
            reason=state.finished.error_reason,
            message=content.error_text,
            metadata=facts,
        )

    async def events(self, entry: Entry, state: RunState) -> list[tuple[Position, RunEvent]]:
        """What a stream tells of ``entry``, with the place of each event; ``state`` includes the entry.

        Events of a kind that this version does not know are left out; their place stays empty.
        """
        told: list[tuple[Position, RunEvent]] = []
        for index, event in enumerate(entry.record.events):
            position = Position(entry.sequence, index)
            shown = RunEvent(position=str(position), time=stamp(entry.time))
            if await self._tell(shown, event, state):
                told.append((position, shown))
        return told

    async def text(self, delta: Delta) -> str:
        """What a delta of a text that is being written holds."""
        return (await self._sealer.open(delta.tenant, delta.run_id, DELTA, delta.content)).text

    async def _tell(self, shown: RunEvent, event: JournalEvent, state: RunState) -> bool:
        match event.WhichOneof("event"):
            case "accepted":
                accepted = event.accepted
                shown.accepted.CopyFrom(
                    RunAccepted(
                        run_id=state.run_id,
                        agent=accepted.agent,
                        trace_id=trace_id_of(accepted.traceparent),
                    )
                )
            case "claimed":
                shown.claimed.CopyFrom(RunClaimed(delivery=event.claimed.delivery))
            case "step_started":
                shown.step_started.CopyFrom(await self._steps.begun(state, event.step_started.key))
            case "step_finished":
                shown.step_finished.CopyFrom(await self._steps.ended(state, event.step_finished.key))
            case "step_abandoned":
                shown.step_finished.CopyFrom(await self._steps.ended(state, event.step_abandoned.key))
            case "step_settled":
                settled = event.step_settled
                shown.step_settled.CopyFrom(
                    RunStepSettled(step=settled.step, key=settled.key, cost=settled.cost)
                )
            case "answered":
                content = await self._opening.content(state, "answered", event.content)
                shown.answered.CopyFrom(
                    RunAnswered(
                        text=content.text,
                        citations=content.citations,
                        model=event.answered.model,
                        model_note=_note(event.answered),
                        verdict=event.answered.verdict,
                    )
                )
            case "proposed":
                proposal = state.proposal(event.proposed.step)
                if proposal is None:
                    return False
                told = shown.approval_requested if event.proposed.approvals else shown.notified
                told.CopyFrom(await self._approvals.proposal(state, proposal))
            case "decided":
                if not state.heeded:
                    return False
                shown.decided.CopyFrom(await self._decided(state, event.decided))
            case "parked":
                shown.waiting.CopyFrom(_waiting(event.parked, state))
            case "cancel_requested":
                said = await self._said(state, event, event.cancel_requested)
                shown.cancel_requested.CopyFrom(RunCancelRequested(by=event.cancel_requested.by, reason=said))
            case "replayed":
                said = await self._said(state, event, event.replayed)
                shown.replayed.CopyFrom(RunReplayed(by=event.replayed.by, reason=said))
            case "dropped":
                said = await self._said(state, event, event.dropped)
                shown.dropped.CopyFrom(RunDropped(by=event.dropped.by, reason=said))
            case "finished":
                shown.finished.CopyFrom(await self.run(state, steps=False))
            case _:
                return False
        return True

    async def _said(
        self, state: RunState, event: JournalEvent, asked: CancelRequested | Replayed | Dropped
    ) -> str:
        """Why somebody asked for it. Journals of an earlier version have it in the clear."""
        kind = event.WhichOneof("event") or ""
        return (await self._opening.content(state, kind, event.content)).comment or asked.reason

    async def _decided(self, state: RunState, decided: Decided) -> Approval:
        proposal = state.proposal(decided.step)
        if decided.key or proposal is None:
            return await self._approvals.outcome(state, decided.key)
        return await self._approvals.proposal(state, proposal)


def row(listed: RunRow) -> Run:
    """A row of the table of runs: no input, no answer, no steps."""
    run = Run(
        run_id=listed.run_id,
        agent=listed.agent,
        status=f"RUN_STATUS_{listed.status}",
        usage=listed.usage,
        cost=listed.cost,
        session_id=listed.session_id,
        create_time=listed.create_time,
        trace_id=listed.trace_id,
    )
    if listed.HasField("finish_time"):
        run.finish_time.CopyFrom(listed.finish_time)
    if listed.error_reason:
        run.error.reason = listed.error_reason
    return run


def trace_id_of(traceparent: str) -> str:
    """The trace id inside a W3C traceparent; empty for anything else."""
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 else ""


def _waiting(parked: Parked, state: RunState) -> RunError:
    """What the run waits for; `hash` in the metadata is what a decision carries back."""
    if parked.reason == ParkReason.PARK_REASON_OUTCOME_UNKNOWN:
        metadata = {"key": parked.key, "hash": attempt_hash(parked.key).hex()}
        return RunError(reason="OUTCOME_UNKNOWN", message=_OUTCOME_UNKNOWN, metadata=metadata)
    if waiting := [one.proposed for one in state.waiting()]:
        tools = ", ".join(dict.fromkeys(one.tool for one in waiting))
        first = waiting[0]
        metadata = {"tool": first.tool, "hash": first.hash.hex()}
        metadata["expire_time"] = first.expire_time.ToJsonString()
        message = f"people are to decide whether {tools} may be called"
        return RunError(reason="APPROVAL_REQUIRED", message=message, metadata=metadata)
    return RunError(message="the run waits for a time", metadata={"key": parked.key})


def _note(answered: Answered) -> str:
    return "" if answered.is_llm else NO_LLM
