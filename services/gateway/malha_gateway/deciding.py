"""Whether a person may decide what they want to decide, from the run's journal alone.

Pure. Each way in which a decision can be out of place has an error of its own, so that who is refused
knows whether to look again, to ask someone else, or to leave it.
"""

from __future__ import annotations

from malha.api.gateway.v1.run_pb2 import RunStatus
from malha.api.gateway.v1.run_service_pb2 import DecideApprovalRequest
from malha.api.run.v1.record_pb2 import Decided, Decision
from malha.errors import ErrorReason, MalhaError, invalid
from malha.run import Proposal, RunState, Standing, attempt_hash

_OF_CALLS = (Decision.DECISION_APPROVE, Decision.DECISION_REJECT, Decision.DECISION_END_RUN)
_OF_OUTCOMES = (Decision.DECISION_HAPPENED, Decision.DECISION_DID_NOT_HAPPEN, Decision.DECISION_END_RUN)


def decision(state: RunState, request: DecideApprovalRequest, by: str) -> Decided:
    """What to write into the journal, where `by` (a subject) may decide it.

    Raises:
        MalhaError: APPROVAL_MISMATCH, APPROVAL_DECIDED, APPROVAL_EXPIRED, APPROVAL_NOT_PENDING,
            APPROVER_NOT_ALLOWED, RUN_FINISHED, FIELD_INVALID.
    """
    wanted = bytes.fromhex(request.hash)
    for key in state.outcomes:
        if attempt_hash(key) == wanted:
            raise _decided("SETTLED")
    key = state.unsettled
    if key and attempt_hash(key) == wanted:
        return _on_outcome(state, key, request, by)
    return _on_call(state, wanted, request, by)


def _on_outcome(state: RunState, key: str, request: DecideApprovalRequest, by: str) -> Decided:
    if request.decision not in _OF_OUTCOMES:
        raise invalid("decision", "the call began: say HAPPENED, DID_NOT_HAPPEN or END_RUN")
    if request.decision == Decision.DECISION_HAPPENED and not request.result.strip():
        raise invalid("result", "say what came of the call")
    _not_cancelled(state)
    attempt = state.attempt(key)
    step = attempt.step if attempt is not None else 0
    return Decided(decision=request.decision, hash=attempt_hash(key), step=step, key=key, by=by)


def _on_call(state: RunState, wanted: bytes, request: DecideApprovalRequest, by: str) -> Decided:
    if request.decision not in _OF_CALLS:
        raise invalid("decision", "the call was not made: say APPROVE, REJECT or END_RUN")
    proposal = _meant(state, wanted, request.step)
    if proposal.standing is not Standing.OPEN:
        raise _decided(proposal.standing.name)
    if proposal.expired(state.last_at):
        raise expired(proposal)
    if proposal not in state.waiting():
        raise _nothing_waits(state)
    _not_cancelled(state)
    if request.decision == Decision.DECISION_APPROVE:
        if by in proposal.approved_by:
            raise _decided("APPROVED", "you approved it already; someone else must, too")
        if by == state.accepted.principal.subject and not proposal.proposed.initiator_may_approve:
            raise MalhaError(
                ErrorReason.ERROR_REASON_APPROVER_NOT_ALLOWED,
                "you started this run, so others must approve this call",
            )
    return Decided(decision=request.decision, hash=wanted, step=proposal.proposed.step, by=by)


def expired(proposal: Proposal) -> MalhaError:
    """APPROVAL_EXPIRED: the decision came too late."""
    until = proposal.proposed.expire_time.ToJsonString()
    return MalhaError(
        ErrorReason.ERROR_REASON_APPROVAL_EXPIRED,
        f"it could be decided until {until}",
        metadata={"expire_time": until},
    )


def _meant(state: RunState, wanted: bytes, step: int) -> Proposal:
    """The proposal that the hash, and the step where there is one, stand for; rather one that waits."""
    same = [
        one
        for one in state.proposals
        if one.proposed.hash == wanted and one.proposed.approvals and step in (0, one.proposed.step)
    ]
    if not same:
        if state.waiting() or state.unsettled:
            raise MalhaError(
                ErrorReason.ERROR_REASON_APPROVAL_MISMATCH,
                "the run waits for a decision on something else; look again at what it wants to do",
            )
        raise _nothing_waits(state)
    waiting = [one for one in same if one.waits]
    if len(waiting) > 1:
        steps = " and ".join(str(one.proposed.step) for one in waiting)
        raise invalid("step", f"steps {steps} are the same call; say which one is meant")
    return waiting[0] if waiting else same[-1]


def _not_cancelled(state: RunState) -> None:
    if state.cancel_requested is not None:
        raise _nothing_waits(state)


def _nothing_waits(state: RunState) -> MalhaError:
    status = RunStatus.Name(state.status).removeprefix("RUN_STATUS_")
    if state.final:
        reason, text = ErrorReason.ERROR_REASON_RUN_FINISHED, f"the run is over: {status}"
    else:
        reason, text = ErrorReason.ERROR_REASON_APPROVAL_NOT_PENDING, "nothing waits for this decision"
    return MalhaError(reason, text, metadata={"status": status})


def _decided(status: str, text: str = "it was decided already") -> MalhaError:
    return MalhaError(ErrorReason.ERROR_REASON_APPROVAL_DECIDED, text, metadata={"status": status})
