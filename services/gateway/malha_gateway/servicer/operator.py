"""What operators do for any tenant."""

from __future__ import annotations

from malha.api.gateway.v1 import operator_service_pb2 as operator_pb
from malha.api.gateway.v1 import tenant_service_pb2 as tenants_pb
from malha.api.gateway.v1.operator_service_pb2_grpc import OperatorServiceServicer
from malha.api.gateway.v1.tenant_service_pb2_grpc import TenantServiceServicer
from malha_gateway.billing import Billing
from malha_gateway.dead import DeadRuns
from malha_gateway.servicer.calls import Context, allowed

_DEFAULT_PAGE = 20


class OperatorServicer(OperatorServiceServicer):
    """Dead runs of every tenant. Scope "operator"."""

    def __init__(self, dead: DeadRuns) -> None:
        self._dead = dead

    async def ListDeadRuns(
        self, request: operator_pb.ListDeadRunsRequest, _context: Context
    ) -> operator_pb.ListDeadRunsResponse:
        allowed("operator")
        return await self._dead.list(request.tenant, request.page_size or _DEFAULT_PAGE, request.page_token)

    async def GetDeadRun(
        self, request: operator_pb.GetDeadRunRequest, _context: Context
    ) -> operator_pb.GetDeadRunResponse:
        allowed("operator")
        shown = await self._dead.show(request.tenant, request.run_id)
        return operator_pb.GetDeadRunResponse(dead_run=shown)

    async def ReplayDeadRun(
        self, request: operator_pb.ReplayDeadRunRequest, _context: Context
    ) -> operator_pb.ReplayDeadRunResponse:
        operator = allowed("operator")
        opened = await self._dead.replay(operator, request.tenant, request.run_id, request.reason)
        return operator_pb.ReplayDeadRunResponse(dead_run=opened)

    async def DropDeadRun(
        self, request: operator_pb.DropDeadRunRequest, _context: Context
    ) -> operator_pb.DropDeadRunResponse:
        operator = allowed("operator")
        closed = await self._dead.drop(operator, request.tenant, request.run_id, request.reason)
        return operator_pb.DropDeadRunResponse(dead_run=closed)


class TenantServicer(TenantServiceServicer):
    """Tiers of tenants. Scope "operator"."""

    def __init__(self, billing: Billing) -> None:
        self._billing = billing

    async def GetTenant(
        self, request: tenants_pb.GetTenantRequest, _context: Context
    ) -> tenants_pb.GetTenantResponse:
        allowed("operator")
        return tenants_pb.GetTenantResponse(tenant=await self._billing.tenant(request.tenant))

    async def LinkStripeCustomer(
        self, request: tenants_pb.LinkStripeCustomerRequest, _context: Context
    ) -> tenants_pb.LinkStripeCustomerResponse:
        allowed("operator")
        tenant = await self._billing.link(request.tenant, request.customer)
        return tenants_pb.LinkStripeCustomerResponse(tenant=tenant)
