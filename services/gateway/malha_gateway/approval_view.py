"""What people decide on, as they see it: a summary, exactly what would run, and who said what."""

from __future__ import annotations

from malha.api.gateway.v1.run_pb2 import Approval, ApprovalDecision, ApprovalStatus
from malha.run import Proposal, Ruling, RunState, Standing, attempt_hash
from malha.timestamps import stamp
from malha_gateway.opening import Opening

_STATUS = {
    Standing.APPROVED: ApprovalStatus.APPROVAL_STATUS_APPROVED,
    Standing.REJECTED: ApprovalStatus.APPROVAL_STATUS_REJECTED,
    Standing.ENDED: ApprovalStatus.APPROVAL_STATUS_REJECTED,
}


class ApprovalView:
    """Opens what waits for the tenant that owns it."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    async def all(self, state: RunState) -> list[Approval]:
        """Everything people were told of or asked in the run, in order."""
        shown = [await self.proposal(state, one) for one in state.proposals]
        keys = [*state.outcomes, *([state.unsettled] if state.unsettled else [])]
        return shown + [await self.outcome(state, key) for key in dict.fromkeys(keys)]

    async def proposal(self, state: RunState, proposal: Proposal) -> Approval:
        """A proposed call."""
        proposed = proposal.proposed
        content = await self._opening.content(state, "proposed", proposal.summary)
        shown = Approval(
            run_id=state.run_id,
            agent=state.accepted.agent,
            step=proposed.step,
            tool=proposed.tool,
            tool_version=proposed.tool_version,
            risk=proposed.risk,
            summary=content.text,
            arguments_json=content.arguments_json,
            hash=proposed.hash.hex(),
            policy=proposed.policy,
            approvals_needed=proposed.approvals,
            preauthorisation=proposed.preauthorisation,
            status=_status(state, proposal),
            decisions=[await self._ruling(state, ruling) for ruling in proposal.rulings],
            initiator=state.accepted.principal.subject,
            request_time=stamp(proposal.at),
            rejection_ends_run=proposed.rejection_ends_run,
        )
        if proposed.HasField("expire_time"):
            shown.expire_time.CopyFrom(proposed.expire_time)
        return shown

    async def outcome(self, state: RunState, key: str) -> Approval:
        """A call that began and whose outcome nobody knows, or knew until a person said."""
        ruling = state.outcomes.get(key)
        shown = Approval(
            run_id=state.run_id,
            agent=state.accepted.agent,
            hash=attempt_hash(key).hex(),
            outcome_unknown=True,
            status=ApprovalStatus.APPROVAL_STATUS_SETTLED if ruling else _pending(state),
            decisions=[await self._ruling(state, ruling)] if ruling else [],
            initiator=state.accepted.principal.subject,
        )
        attempt = state.attempt(key)
        if attempt is not None:
            shown.step, shown.tool = attempt.step, attempt.started.name
            shown.summary = f"{shown.tool} began, and whether it took effect is not known."
            shown.arguments_json = (
                await self._opening.content(state, "step_started", attempt.arguments)
            ).arguments_json
            shown.request_time.CopyFrom(stamp(attempt.started_at))
        return shown

    async def _ruling(self, state: RunState, ruling: Ruling) -> ApprovalDecision:
        words = await self._opening.content(state, "decided", ruling.words)
        return ApprovalDecision(
            decision=ruling.decided.decision,
            by=ruling.decided.by,
            comment=words.comment,
            result=words.text,
            time=stamp(ruling.at),
        )


def _status(state: RunState, proposal: Proposal) -> ApprovalStatus:
    if not proposal.proposed.approvals:
        return ApprovalStatus.APPROVAL_STATUS_NOTICE
    if proposal.standing is Standing.OPEN:
        return ApprovalStatus.APPROVAL_STATUS_LAPSED if proposal.passed else _pending(state)
    return _STATUS[proposal.standing]


def _pending(state: RunState) -> ApprovalStatus:
    return ApprovalStatus.APPROVAL_STATUS_LAPSED if state.final else ApprovalStatus.APPROVAL_STATUS_PENDING
