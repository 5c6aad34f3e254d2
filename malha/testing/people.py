"""People who decide, through the gateway's own code on whatever journal a test has."""

from __future__ import annotations

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.gateway.v1.run_pb2 import Approval, ApprovalStatus, Run
from malha.api.gateway.v1.run_service_pb2 import DecideApprovalRequest
from malha.api.guard.v1.guard_service_pb2 import CheckRequest, Judgement, Stage
from malha.api.run.v1.record_pb2 import Decision
from malha.clock import SystemClock
from malha.run import Journal, Sealer, fold
from malha.testing.planner import WordGuard
from malha_gateway.approval_view import ApprovalView
from malha_gateway.approvals import Approvals
from malha_gateway.opening import Opening
from malha_gateway.ports import Planner
from malha_gateway.view import View


class People:
    """Decide on the runs of one tenant; whoever speaks has the scope."""

    def __init__(self, journal: Journal, sealer: Sealer, planner: Planner, tenant: str = "acme") -> None:
        self.guard = _WordGuard()
        self.approvals = Approvals(
            journal=journal,
            sealer=sealer,
            view=View(sealer),
            guard=self.guard,
            planner=planner,
            clock=SystemClock(),
        )
        self._journal = journal
        self._shown = ApprovalView(Opening(sealer))
        self._tenant = tenant

    def person(self, subject: str) -> Principal:
        """Somebody."""
        return Principal(tenant=self._tenant, subject=subject, scopes=["approvals"])

    async def shown(self, run_id: str) -> list[Approval]:
        """What waits in the run, as somebody sees it."""
        state = fold(await self._journal.load(self._tenant, run_id))
        everything = await self._shown.all(state)
        return [one for one in everything if one.status == ApprovalStatus.APPROVAL_STATUS_PENDING]

    async def say(
        self,
        run_id: str,
        decision: Decision,
        by: str = "bea",
        *,
        comment: str = "",
        result: str = "",
        about: Approval | None = None,
    ) -> Run:
        """Decide on what waits, or on something that was shown before."""
        about = about or (await self.shown(run_id))[0]
        request = DecideApprovalRequest(
            run_id=run_id,
            hash=about.hash,
            step=about.step,
            decision=decision,
            comment=comment,
            result=result,
        )
        return await self.approvals.decide(self.person(by), request)


class _WordGuard:
    """`WordGuard` as the gateway asks it."""

    def __init__(self) -> None:
        self._guard = WordGuard()

    async def check_input(self, text: str, agent: str) -> Judgement:
        return await self._check(Stage.STAGE_INPUT, text, agent)

    async def check_result(self, text: str, agent: str) -> Judgement:
        return await self._check(Stage.STAGE_TOOL_RESULT, text, agent)

    async def _check(self, stage: Stage, text: str, agent: str) -> Judgement:
        request = CheckRequest(stage=stage, texts=[text], agent=agent)
        return (await self._guard.check(request)).judgements[0]
