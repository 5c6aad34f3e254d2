"""A tenant's keys, budgets and erasures."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from malha.api.cost.v1.budget_pb2 import BudgetStatus, QuotaStatus
from malha.api.cost.v1.cost_service_pb2 import (
    AdjustRequest,
    GetBudgetResponse,
)
from malha.api.gateway.v1 import admin_service_pb2 as admin_pb
from malha.api.gateway.v1.admin_service_pb2_grpc import AdminServiceServicer
from malha_gateway.administration import Administration
from malha_gateway.ports import Cost, Planner
from malha_gateway.remembered import Remembered
from malha_gateway.revocation import Revocation
from malha_gateway.servicer.calls import Context, allowed


class AdminServicer(AdminServiceServicer):
    """Keys, budgets and erasure. Scope "admin"; a tenant is erased by an "operator"."""

    def __init__(
        self,
        administration: Administration,
        revocation: Revocation,
        cost: Cost,
        budgets: Remembered[tuple[str, str], Sequence[BudgetStatus]],
        planner: Planner,
    ) -> None:
        self._planner = planner
        self._administration = administration
        self._revocation = revocation
        self._cost = cost
        self._budgets = budgets

    async def CreateApiKey(
        self, request: admin_pb.CreateApiKeyRequest, _context: Context
    ) -> admin_pb.CreateApiKeyResponse:
        key, api_key = await self._administration.create(allowed("admin"), request)
        expire_time = Timestamp()
        expire_time.FromDatetime(key.expires_at)
        return admin_pb.CreateApiKeyResponse(
            key_id=key.principal.key_id, api_key=api_key, expire_time=expire_time
        )

    async def RevokeApiKey(
        self, request: admin_pb.RevokeApiKeyRequest, _context: Context
    ) -> admin_pb.RevokeApiKeyResponse:
        cancelled = await self._revocation.revoke(allowed("admin"), request.key_id)
        return admin_pb.RevokeApiKeyResponse(runs_cancelled=cancelled)

    async def EraseRun(
        self, request: admin_pb.EraseRunRequest, _context: Context
    ) -> admin_pb.EraseRunResponse:
        allowed("admin")
        await self._planner.erase_run(request.run_id)
        return admin_pb.EraseRunResponse()

    async def EraseTenant(
        self, request: admin_pb.EraseTenantRequest, _context: Context
    ) -> admin_pb.EraseTenantResponse:
        allowed("operator")
        return admin_pb.EraseTenantResponse(runs=await self._planner.erase_tenant(request.tenant))

    async def SetBudget(
        self, request: admin_pb.SetBudgetRequest, _context: Context
    ) -> admin_pb.SetBudgetResponse:
        allowed("admin")
        status = await self._cost.set_budget(request.budget)
        self._budgets.clear()  # a tenant's limit is remembered under each of its keys
        return admin_pb.SetBudgetResponse(budget=status.budget)

    async def GetBudget(
        self, _request: admin_pb.GetBudgetRequest, _context: Context
    ) -> admin_pb.GetBudgetResponse:
        allowed("admin")
        standing = await self._cost.standing()
        return admin_pb.GetBudgetResponse(
            statuses=standing.statuses, policy=standing.policy, quota=_quota(standing)
        )

    async def SetBudgetPolicy(
        self, request: admin_pb.SetBudgetPolicyRequest, _context: Context
    ) -> admin_pb.SetBudgetPolicyResponse:
        allowed("admin")
        policy = await self._cost.set_policy(request.policy)
        self._budgets.clear()
        return admin_pb.SetBudgetPolicyResponse(policy=policy)

    async def AdjustSpending(
        self, request: admin_pb.AdjustSpendingRequest, _context: Context
    ) -> admin_pb.AdjustSpendingResponse:
        allowed("operator")
        asked = AdjustRequest(
            id=request.id, key=request.key, amount_microusd=request.amount_microusd, reason=request.reason
        )
        return admin_pb.AdjustSpendingResponse(amount_microusd=await self._cost.adjust(asked))


def _quota(standing: GetBudgetResponse) -> QuotaStatus | None:
    return standing.quota if standing.HasField("quota") else None
