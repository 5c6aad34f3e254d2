"""People decide: what waits for them, and what they say of it.

A decision is one append to the run's journal, like everything callers cause. The fence orders it with
what others write, and the stream's own clock says whether it came in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.gateway.v1.run_pb2 import Approval, Run
from malha.api.gateway.v1.run_service_pb2 import (
    DecideApprovalRequest,
    ListApprovalsRequest,
    ListApprovalsResponse,
)
from malha.api.run.v1.record_pb2 import Content, Decided, Decision, JournalEvent, Record
from malha.clock import Clock
from malha.errors import ErrorReason, MalhaError
from malha.run import Journal, RunState, Sealer, amend, attempt_hash, fold_whatever
from malha_gateway.admission import check_judgement
from malha_gateway.approval_view import ApprovalView
from malha_gateway.deciding import decision, expired
from malha_gateway.opening import Opening
from malha_gateway.ports import Guard, Planner
from malha_gateway.records import record_of
from malha_gateway.view import View

_DEFAULT_PAGE = 20


class Approvals:
    """Lists and takes decisions."""

    def __init__(
        self, *, journal: Journal, sealer: Sealer, view: View, guard: Guard, planner: Planner, clock: Clock
    ) -> None:
        self._journal = journal
        self._sealer = sealer
        self._view = view
        self._shown = ApprovalView(Opening(sealer))
        self._guard = guard
        self._planner = planner
        self._clock = clock

    async def decide(self, principal: Principal, request: DecideApprovalRequest) -> Run:
        """Write the decision; the run goes on by itself where nothing is waited for any more.

        Raises:
            MalhaError: RUN_NOT_FOUND, GUARD_BLOCKED (comment or result), and as `deciding.decision`.
        """
        tenant, run_id = principal.tenant, request.run_id
        state = await self._state(tenant, run_id)
        decided = decision(state, request, principal.subject)
        request.step = decided.step
        words = await self._guarded(request, decided, state.accepted.agent)
        sealed = await self._sealer.seal(tenant, run_id, "decided", words)

        def decide(state: RunState) -> Record:
            decision(state, request, principal.subject)  # the run may have moved on meanwhile
            return record_of(JournalEvent(decided=decided, content=sealed), tenant, run_id, self._clock)

        state = await amend(self._journal, tenant, run_id, decide)
        if not state.heeded and (proposal := state.proposal(decided.step)) is not None:
            raise expired(proposal)  # by the time it was stored; the fold left it out
        return await self._view.run(state)

    async def waiting(self, principal: Principal, request: ListApprovalsRequest) -> ListApprovalsResponse:
        """What waits for this person, of one page of waiting runs."""
        page = await self._planner.runs(
            'status = "WAITING"', request.page_size or _DEFAULT_PAGE, request.page_token
        )
        found = await asyncio.gather(*(self._of(principal, row.run_id) for row in page.rows))
        return ListApprovalsResponse(
            approvals=[approval for approvals in found for approval in approvals],
            next_page_token=page.next_page_token,
        )

    async def _of(self, principal: Principal, run_id: str) -> list[Approval]:
        entries = await self._journal.load(principal.tenant, run_id)
        if not entries:
            return []  # the table is a moment behind
        state = fold_whatever(entries)
        return [approval async for approval in self._for(principal.subject, state)]

    async def _for(self, subject: str, state: RunState) -> AsyncIterator[Approval]:
        for proposal in state.waiting():
            proposed = proposal.proposed
            approve = DecideApprovalRequest(
                hash=proposed.hash.hex(), step=proposed.step, decision=Decision.DECISION_APPROVE
            )
            if _may(subject, state, approve):
                yield await self._shown.proposal(state, proposal)
        if key := state.unsettled:
            again = DecideApprovalRequest(
                hash=attempt_hash(key).hex(), decision=Decision.DECISION_DID_NOT_HAPPEN
            )
            if _may(subject, state, again):
                yield await self._shown.outcome(state, key)

    async def _guarded(self, request: DecideApprovalRequest, decided: Decided, agent: str) -> Content:
        """The person's words as the guard lets them through; its verdict goes into `decided`."""
        words = Content()
        if request.comment.strip():
            judgement = await self._guard.check_input(request.comment, agent)
            check_judgement(judgement)
            words.comment = judgement.text
            decided.verdict.CopyFrom(judgement.verdict)
        if decided.decision == Decision.DECISION_HAPPENED:
            judgement = await self._guard.check_result(request.result, agent)
            check_judgement(judgement, stage="tool_result")
            words.text = judgement.text
            decided.verdict.CopyFrom(judgement.verdict)
        return words

    async def _state(self, tenant: str, run_id: str) -> RunState:
        entries = await self._journal.load(tenant, run_id)
        if not entries:
            raise MalhaError(ErrorReason.ERROR_REASON_RUN_NOT_FOUND, "there is no such run")
        return fold_whatever(entries)


def _may(subject: str, state: RunState, request: DecideApprovalRequest) -> bool:
    try:
        decision(state, request, subject)
    except MalhaError:
        return False
    return True
