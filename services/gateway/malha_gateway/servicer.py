"""The gateway's RPCs: scope, idea, response."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import grpc.aio
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.timestamp_pb2 import Timestamp

from malha import __version__
from malha.api.common.v1.principal_pb2 import Principal
from malha.api.cost.v1.budget_pb2 import BudgetStatus, QuotaStatus
from malha.api.cost.v1.cost_service_pb2 import (
    AdjustRequest,
    ExportUsageRequest,
    GetBudgetResponse,
    GetUsageRequest,
    QuoteRequest,
)
from malha.api.gateway.v1 import admin_service_pb2 as admin_pb
from malha.api.gateway.v1 import agent_service_pb2 as agents_pb
from malha.api.gateway.v1 import alert_service_pb2 as alerts_pb
from malha.api.gateway.v1 import billing_service_pb2 as billing_pb
from malha.api.gateway.v1 import event_stream_service_pb2 as events_pb
from malha.api.gateway.v1 import health_service_pb2 as health_pb
from malha.api.gateway.v1 import knowledge_service_pb2 as knowledge_pb
from malha.api.gateway.v1 import operator_service_pb2 as operator_pb
from malha.api.gateway.v1 import run_service_pb2 as runs_pb
from malha.api.gateway.v1 import tenant_service_pb2 as tenants_pb
from malha.api.gateway.v1 import usage_service_pb2 as usage_pb
from malha.api.gateway.v1 import webhook_service_pb2 as webhooks_pb
from malha.api.gateway.v1.admin_service_pb2_grpc import AdminServiceServicer
from malha.api.gateway.v1.agent_service_pb2_grpc import AgentServiceServicer
from malha.api.gateway.v1.alert_service_pb2_grpc import AlertServiceServicer
from malha.api.gateway.v1.billing_service_pb2_grpc import BillingServiceServicer
from malha.api.gateway.v1.event_stream_service_pb2_grpc import EventStreamServiceServicer
from malha.api.gateway.v1.health_service_pb2_grpc import HealthServiceServicer
from malha.api.gateway.v1.knowledge_service_pb2_grpc import KnowledgeServiceServicer
from malha.api.gateway.v1.operator_service_pb2_grpc import OperatorServiceServicer
from malha.api.gateway.v1.run_service_pb2_grpc import RunServiceServicer
from malha.api.gateway.v1.tenant_service_pb2_grpc import TenantServiceServicer
from malha.api.gateway.v1.usage_service_pb2_grpc import UsageServiceServicer
from malha.api.gateway.v1.webhook_service_pb2_grpc import WebhookServiceServicer
from malha.errors import MalhaError, invalid
from malha.run import Position, StreamPosition, parse_stream_position
from malha.wire import codec, current
from malha_gateway import sse, stripe, view
from malha_gateway.administration import Administration
from malha_gateway.approvals import Approvals
from malha_gateway.authentication import require
from malha_gateway.billing import Billing
from malha_gateway.dead import DeadRuns
from malha_gateway.following import Following
from malha_gateway.knowledge import ingest
from malha_gateway.ports import Cost, Planner, Retrieval
from malha_gateway.readiness import Readiness
from malha_gateway.remembered import Remembered
from malha_gateway.revocation import Revocation
from malha_gateway.runs import Runs
from malha_gateway.webhooks import Webhooks

Context = grpc.aio.ServicerContext[Any, Any]

_DEFAULT_PAGE = 20
_DEFAULT_PASSAGES = 5


class RunServicer(RunServiceServicer):
    """Runs. Scope "runs", and "approvals" for deciding."""

    def __init__(
        self, runs: Runs, approvals: Approvals, planner: Planner, following: Following, *, heartbeat: float
    ) -> None:
        self._runs = runs
        self._approvals = approvals
        self._planner = planner
        self._following = following
        self._heartbeat = heartbeat

    async def CreateRun(
        self, request: runs_pb.CreateRunRequest, _context: Context
    ) -> runs_pb.CreateRunResponse:
        run = await self._runs.create(_allowed("runs"), request)
        return runs_pb.CreateRunResponse(run=run)

    async def RunAndWait(
        self, request: runs_pb.RunAndWaitRequest, context: Context
    ) -> runs_pb.RunAndWaitResponse:
        # the two requests are one message under two names, so a retry by the other RPC is the same run
        asked = runs_pb.CreateRunRequest.FromString(request.SerializeToString())
        run = await self._runs.wait(_allowed("runs"), asked, seconds=context.time_remaining())
        return runs_pb.RunAndWaitResponse(run=run)

    async def GetRun(self, request: runs_pb.GetRunRequest, _context: Context) -> runs_pb.GetRunResponse:
        return runs_pb.GetRunResponse(run=await self._runs.get(_allowed("runs"), request.run_id))

    async def ListRuns(self, request: runs_pb.ListRunsRequest, _context: Context) -> runs_pb.ListRunsResponse:
        _allowed("runs")
        page = await self._planner.runs(
            request.filter, request.page_size or _DEFAULT_PAGE, request.page_token
        )
        return runs_pb.ListRunsResponse(runs=map(view.row, page.rows), next_page_token=page.next_page_token)

    async def StreamRun(
        self, request: runs_pb.StreamRunRequest, _context: Context
    ) -> AsyncIterator[runs_pb.StreamRunResponse]:
        after = _position("after", request.after)
        tenant = _allowed("runs").tenant
        follow = self._following.follow(
            tenant, request.run_id, after, idle=self._heartbeat, deltas=request.deltas
        )
        async with aclosing(follow) as events:
            async for event in events:
                if event is not None:
                    yield runs_pb.StreamRunResponse(event=event)

    async def CancelRun(
        self, request: runs_pb.CancelRunRequest, _context: Context
    ) -> runs_pb.CancelRunResponse:
        run = await self._runs.cancel(_allowed("runs"), request.run_id, request.reason)
        return runs_pb.CancelRunResponse(run=run)

    async def DecideApproval(
        self, request: runs_pb.DecideApprovalRequest, _context: Context
    ) -> runs_pb.DecideApprovalResponse:
        run = await self._approvals.decide(_allowed("approvals"), request)
        return runs_pb.DecideApprovalResponse(run=run)

    async def ListApprovals(
        self, request: runs_pb.ListApprovalsRequest, _context: Context
    ) -> runs_pb.ListApprovalsResponse:
        return await self._approvals.waiting(_allowed("approvals"), request)


class EventStreamServicer(EventStreamServiceServicer):
    """The same streams as server-sent events. Scope "runs"."""

    def __init__(self, following: Following, *, heartbeat: float) -> None:
        self._following = following
        self._heartbeat = heartbeat

    async def StreamRunEvents(
        self, request: events_pb.StreamRunEventsRequest, _context: Context
    ) -> AsyncIterator[HttpBody]:
        # a browser that reconnects says where it was in the header, which is newer than its URL
        header = current().metadata.get("last-event-id", "")
        after = _position("last-event-id", header) if header else _position("after", request.after)
        tenant = _allowed("runs").tenant
        follow = self._following.follow(
            tenant, request.run_id, after, idle=self._heartbeat, deltas=request.deltas
        )
        opened = False
        async with aclosing(follow) as events:
            try:
                async for event in events:
                    if not opened:
                        # only now: a run that does not exist is an HTTP status, not an empty stream
                        yield HttpBody(content_type=sse.CONTENT_TYPE, data=sse.OPENING)
                        opened = True
                    yield HttpBody(data=sse.encode(event) if event is not None else sse.HEARTBEAT)
            except MalhaError as error:
                if opened:  # its HTTP status was sent long ago
                    yield HttpBody(data=sse.failure(codec.to_status(error)))
                raise
        if not opened:
            yield HttpBody(content_type=sse.CONTENT_TYPE, data=sse.OPENING)


class KnowledgeServicer(KnowledgeServiceServicer):
    """Documents. Scope "knowledge"."""

    def __init__(self, retrieval: Retrieval, *, max_document_bytes: int) -> None:
        self._retrieval = retrieval
        self._max_document_bytes = max_document_bytes

    async def Ingest(
        self, request: knowledge_pb.IngestRequest, _context: Context
    ) -> knowledge_pb.IngestResponse:
        _allowed("knowledge")
        outcomes = await ingest(self._retrieval, request.documents, max_bytes=self._max_document_bytes)
        return knowledge_pb.IngestResponse(outcomes=outcomes)

    async def Search(
        self, request: knowledge_pb.SearchRequest, _context: Context
    ) -> knowledge_pb.SearchResponse:
        _allowed("knowledge")
        passages = await self._retrieval.search(request.query, request.limit or _DEFAULT_PASSAGES)
        return knowledge_pb.SearchResponse(passages=passages)


class AgentServicer(AgentServiceServicer):
    """Agents. Scope "runs"."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def ListAgents(
        self, _request: agents_pb.ListAgentsRequest, _context: Context
    ) -> agents_pb.ListAgentsResponse:
        return agents_pb.ListAgentsResponse(agents=await self._runs.agents(_allowed("runs")))


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
        key, api_key = await self._administration.create(_allowed("admin"), request)
        expire_time = Timestamp()
        expire_time.FromDatetime(key.expires_at)
        return admin_pb.CreateApiKeyResponse(
            key_id=key.principal.key_id, api_key=api_key, expire_time=expire_time
        )

    async def RevokeApiKey(
        self, request: admin_pb.RevokeApiKeyRequest, _context: Context
    ) -> admin_pb.RevokeApiKeyResponse:
        cancelled = await self._revocation.revoke(_allowed("admin"), request.key_id)
        return admin_pb.RevokeApiKeyResponse(runs_cancelled=cancelled)

    async def EraseRun(
        self, request: admin_pb.EraseRunRequest, _context: Context
    ) -> admin_pb.EraseRunResponse:
        _allowed("admin")
        await self._planner.erase_run(request.run_id)
        return admin_pb.EraseRunResponse()

    async def EraseTenant(
        self, request: admin_pb.EraseTenantRequest, _context: Context
    ) -> admin_pb.EraseTenantResponse:
        _allowed("operator")
        return admin_pb.EraseTenantResponse(runs=await self._planner.erase_tenant(request.tenant))

    async def SetBudget(
        self, request: admin_pb.SetBudgetRequest, _context: Context
    ) -> admin_pb.SetBudgetResponse:
        _allowed("admin")
        status = await self._cost.set_budget(request.budget)
        self._budgets.clear()  # a tenant's limit is remembered under each of its keys
        return admin_pb.SetBudgetResponse(budget=status.budget)

    async def GetBudget(
        self, _request: admin_pb.GetBudgetRequest, _context: Context
    ) -> admin_pb.GetBudgetResponse:
        _allowed("admin")
        standing = await self._cost.standing()
        return admin_pb.GetBudgetResponse(
            statuses=standing.statuses, policy=standing.policy, quota=_quota(standing)
        )

    async def SetBudgetPolicy(
        self, request: admin_pb.SetBudgetPolicyRequest, _context: Context
    ) -> admin_pb.SetBudgetPolicyResponse:
        _allowed("admin")
        policy = await self._cost.set_policy(request.policy)
        self._budgets.clear()
        return admin_pb.SetBudgetPolicyResponse(policy=policy)

    async def AdjustSpending(
        self, request: admin_pb.AdjustSpendingRequest, _context: Context
    ) -> admin_pb.AdjustSpendingResponse:
        _allowed("operator")
        asked = AdjustRequest(
            id=request.id, key=request.key, amount_microusd=request.amount_microusd, reason=request.reason
        )
        return admin_pb.AdjustSpendingResponse(amount_microusd=await self._cost.adjust(asked))


class UsageServicer(UsageServiceServicer):
    """What was spent, and what calls would cost. Scope "admin"."""

    def __init__(self, cost: Cost) -> None:
        self._cost = cost

    async def GetUsage(
        self, request: usage_pb.GetUsageRequest, _context: Context
    ) -> usage_pb.GetUsageResponse:
        _allowed("admin")
        asked = GetUsageRequest(since=request.since, until=request.until, group_by=request.group_by)
        told = await self._cost.usage(asked)
        return usage_pb.GetUsageResponse(days=told.days, rows=told.rows)

    async def GetDailyReport(
        self, request: usage_pb.GetDailyReportRequest, _context: Context
    ) -> usage_pb.GetDailyReportResponse:
        _allowed("admin")
        return usage_pb.GetDailyReportResponse(report=await self._cost.report(request.day))

    async def ExportUsage(
        self, request: usage_pb.ExportUsageRequest, _context: Context
    ) -> usage_pb.ExportUsageResponse:
        _allowed("admin")
        asked = ExportUsageRequest(
            after=request.after, page_size=request.page_size, since=request.since, until=request.until
        )
        page = await self._cost.export(asked)
        return usage_pb.ExportUsageResponse(records=page.records, next=page.next, more=page.more)

    async def ListPrices(
        self, request: usage_pb.ListPricesRequest, _context: Context
    ) -> usage_pb.ListPricesResponse:
        _allowed("admin")
        asked = QuoteRequest(
            model=request.model,
            input_tokens=request.input_tokens,
            cached_input_tokens=request.cached_input_tokens,
            output_tokens=request.output_tokens,
            batch=request.batch,
        )
        return usage_pb.ListPricesResponse(quotes=await self._cost.quote(asked))


class AlertServicer(AlertServiceServicer):
    """What people must hear of about money. Scope "admin"."""

    def __init__(self, cost: Cost) -> None:
        self._cost = cost

    async def ListAlerts(
        self, request: alerts_pb.ListAlertsRequest, _context: Context
    ) -> alerts_pb.ListAlertsResponse:
        _allowed("admin")
        return alerts_pb.ListAlertsResponse(alerts=await self._cost.alerts(request.limit))


class WebhookServicer(WebhookServiceServicer):
    """Where events are delivered. Scope "admin"."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    async def CreateWebhook(
        self, request: webhooks_pb.CreateWebhookRequest, _context: Context
    ) -> webhooks_pb.CreateWebhookResponse:
        webhook, secret = await self._webhooks.create(_allowed("admin"), request)
        return webhooks_pb.CreateWebhookResponse(webhook=webhook, secret=secret)

    async def ListWebhooks(
        self, _request: webhooks_pb.ListWebhooksRequest, _context: Context
    ) -> webhooks_pb.ListWebhooksResponse:
        return webhooks_pb.ListWebhooksResponse(webhooks=await self._webhooks.list(_allowed("admin")))

    async def DeleteWebhook(
        self, request: webhooks_pb.DeleteWebhookRequest, _context: Context
    ) -> webhooks_pb.DeleteWebhookResponse:
        await self._webhooks.delete(_allowed("admin"), request.webhook_id)
        return webhooks_pb.DeleteWebhookResponse()

    async def TestWebhook(
        self, request: webhooks_pb.TestWebhookRequest, _context: Context
    ) -> webhooks_pb.TestWebhookResponse:
        outcome = await self._webhooks.test(_allowed("admin"), request.webhook_id)
        return webhooks_pb.TestWebhookResponse(delivered=outcome.delivered, outcome=outcome.text)


class OperatorServicer(OperatorServiceServicer):
    """Dead runs of every tenant. Scope "operator"."""

    def __init__(self, dead: DeadRuns) -> None:
        self._dead = dead

    async def ListDeadRuns(
        self, request: operator_pb.ListDeadRunsRequest, _context: Context
    ) -> operator_pb.ListDeadRunsResponse:
        _allowed("operator")
        return await self._dead.list(request.tenant, request.page_size or _DEFAULT_PAGE, request.page_token)

    async def GetDeadRun(
        self, request: operator_pb.GetDeadRunRequest, _context: Context
    ) -> operator_pb.GetDeadRunResponse:
        _allowed("operator")
        shown = await self._dead.show(request.tenant, request.run_id)
        return operator_pb.GetDeadRunResponse(dead_run=shown)

    async def ReplayDeadRun(
        self, request: operator_pb.ReplayDeadRunRequest, _context: Context
    ) -> operator_pb.ReplayDeadRunResponse:
        operator = _allowed("operator")
        opened = await self._dead.replay(operator, request.tenant, request.run_id, request.reason)
        return operator_pb.ReplayDeadRunResponse(dead_run=opened)

    async def DropDeadRun(
        self, request: operator_pb.DropDeadRunRequest, _context: Context
    ) -> operator_pb.DropDeadRunResponse:
        operator = _allowed("operator")
        closed = await self._dead.drop(operator, request.tenant, request.run_id, request.reason)
        return operator_pb.DropDeadRunResponse(dead_run=closed)


class BillingServicer(BillingServiceServicer):
    """Webhooks of those who take the money, for whoever signs them."""

    def __init__(self, billing: Billing) -> None:
        self._billing = billing

    async def ReceiveStripeEvent(
        self, request: billing_pb.ReceiveStripeEventRequest, _context: Context
    ) -> billing_pb.ReceiveStripeEventResponse:
        signature = current().metadata.get(stripe.HEADER, "")
        outcome = await self._billing.receive(request.event.data, signature)
        return billing_pb.ReceiveStripeEventResponse(outcome=outcome)


class TenantServicer(TenantServiceServicer):
    """Tiers of tenants. Scope "operator"."""

    def __init__(self, billing: Billing) -> None:
        self._billing = billing

    async def GetTenant(
        self, request: tenants_pb.GetTenantRequest, _context: Context
    ) -> tenants_pb.GetTenantResponse:
        _allowed("operator")
        return tenants_pb.GetTenantResponse(tenant=await self._billing.tenant(request.tenant))

    async def LinkStripeCustomer(
        self, request: tenants_pb.LinkStripeCustomerRequest, _context: Context
    ) -> tenants_pb.LinkStripeCustomerResponse:
        _allowed("operator")
        tenant = await self._billing.link(request.tenant, request.customer)
        return tenants_pb.LinkStripeCustomerResponse(tenant=tenant)


class HealthServicer(HealthServiceServicer):
    """Readiness, for whoever asks."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    async def CheckHealth(
        self, _request: health_pb.CheckHealthRequest, _context: Context
    ) -> health_pb.CheckHealthResponse:
        await self._readiness.check()
        return health_pb.CheckHealthResponse(status="ready", version=__version__)


def _quota(standing: GetBudgetResponse) -> QuotaStatus | None:
    return standing.quota if standing.HasField("quota") else None


def _allowed(scope: str) -> Principal:
    """The current principal, if it has the scope."""
    principal = current().principal
    require(principal, scope)
    return principal


def _position(field: str, text: str) -> StreamPosition:
    if not text:
        return StreamPosition(Position(0, 0))
    try:
        return parse_stream_position(text)
    except ValueError:
        raise invalid(field, "is not a position such as 12.0") from None
