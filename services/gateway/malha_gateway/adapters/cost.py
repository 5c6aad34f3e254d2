"""Cost, by gRPC: the only judge of money."""

from __future__ import annotations

from collections.abc import Sequence

from malha.api.cost.v1.budget_pb2 import Budget, BudgetPolicy, BudgetStatus
from malha.api.cost.v1.cost_service_pb2 import (
    AdjustRequest,
    AdjustResponse,
    ExportUsageRequest,
    ExportUsageResponse,
    GetBudgetRequest,
    GetBudgetResponse,
    GetDailyReportRequest,
    GetDailyReportResponse,
    GetUsageRequest,
    GetUsageResponse,
    ListAlertsRequest,
    ListAlertsResponse,
    QuoteRequest,
    QuoteResponse,
    SetBudgetPolicyRequest,
    SetBudgetPolicyResponse,
    SetBudgetRequest,
)
from malha.api.cost.v1.cost_service_pb2_grpc import CostServiceStub
from malha.api.cost.v1.price_pb2 import Quote
from malha.api.cost.v1.report_pb2 import DailyReport
from malha.api.event.v1.alert_pb2 import Alert
from malha.wire import Peer

_SECONDS = 2.0
_READING_SECONDS = 20.0
"""For what reads many entries."""


class CostPeer:
    """Budgets over the wire."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = CostServiceStub(peer.channel)

    async def budgets(self) -> Sequence[BudgetStatus]:
        """Where the budgets of tenant and key stand."""
        return (await self.standing()).statuses

    async def standing(self) -> GetBudgetResponse:
        """The same, with the policy they are kept by and the token quota."""
        response: GetBudgetResponse = await self._peer.call(
            self._stub.GetBudget, GetBudgetRequest(), timeout=_SECONDS, idempotent=True
        )
        return response

    async def set_budget(self, budget: Budget) -> BudgetStatus:
        """Set a hard limit; setting it again changes nothing."""
        request = SetBudgetRequest(budget=budget)
        response = await self._peer.call(self._stub.SetBudget, request, timeout=_SECONDS, idempotent=True)
        return response.status

    async def set_policy(self, policy: BudgetPolicy) -> BudgetPolicy:
        """Say how the budgets are kept; setting it again changes nothing."""
        request = SetBudgetPolicyRequest(policy=policy)
        response: SetBudgetPolicyResponse = await self._peer.call(
            self._stub.SetBudgetPolicy, request, timeout=_SECONDS, idempotent=True
        )
        return response.policy

    async def adjust(self, asked: AdjustRequest) -> int:
        """Move what was spent under a key, once an id; micro-dollars spent under it then."""
        response: AdjustResponse = await self._peer.call(
            self._stub.Adjust, asked, timeout=_SECONDS, idempotent=True
        )
        return response.amount_microusd

    async def usage(self, asked: GetUsageRequest) -> GetUsageResponse:
        """What the tenant spent, by day or grouped otherwise."""
        response: GetUsageResponse = await self._peer.call(
            self._stub.GetUsage, asked, timeout=_READING_SECONDS, idempotent=True
        )
        return response

    async def report(self, day: str) -> DailyReport:
        """What a day cost, on what, and what would cost less."""
        response: GetDailyReportResponse = await self._peer.call(
            self._stub.GetDailyReport,
            GetDailyReportRequest(day=day),
            timeout=_READING_SECONDS,
            idempotent=True,
        )
        return response.report

    async def export(self, asked: ExportUsageRequest) -> ExportUsageResponse:
        """What is to be billed, from a place on."""
        response: ExportUsageResponse = await self._peer.call(
            self._stub.ExportUsage, asked, timeout=_READING_SECONDS, idempotent=True
        )
        return response

    async def quote(self, asked: QuoteRequest) -> Sequence[Quote]:
        """What so many tokens would cost, for each model that is called so."""
        response: QuoteResponse = await self._peer.call(
            self._stub.Quote, asked, timeout=_SECONDS, idempotent=True
        )
        return response.quotes

    async def alerts(self, limit: int) -> Sequence[Alert]:
        """The latest alerts, the newest first."""
        request = ListAlertsRequest(limit=limit)
        response: ListAlertsResponse = await self._peer.call(
            self._stub.ListAlerts, request, timeout=_SECONDS, idempotent=True
        )
        return response.alerts
