"""What was spent, what calls would cost, and what people must hear of about it."""

from __future__ import annotations

from malha.api.cost.v1.cost_service_pb2 import (
    ExportUsageRequest,
    GetUsageRequest,
    QuoteRequest,
)
from malha.api.gateway.v1 import alert_service_pb2 as alerts_pb
from malha.api.gateway.v1 import usage_service_pb2 as usage_pb
from malha.api.gateway.v1.alert_service_pb2_grpc import AlertServiceServicer
from malha.api.gateway.v1.usage_service_pb2_grpc import UsageServiceServicer
from malha_gateway.ports import Cost
from malha_gateway.servicer.calls import Context, allowed


class UsageServicer(UsageServiceServicer):
    """What was spent, and what calls would cost. Scope "admin"."""

    def __init__(self, cost: Cost) -> None:
        self._cost = cost

    async def GetUsage(
        self, request: usage_pb.GetUsageRequest, _context: Context
    ) -> usage_pb.GetUsageResponse:
        allowed("admin")
        asked = GetUsageRequest(since=request.since, until=request.until, group_by=request.group_by)
        told = await self._cost.usage(asked)
        return usage_pb.GetUsageResponse(days=told.days, rows=told.rows)

    async def GetDailyReport(
        self, request: usage_pb.GetDailyReportRequest, _context: Context
    ) -> usage_pb.GetDailyReportResponse:
        allowed("admin")
        return usage_pb.GetDailyReportResponse(report=await self._cost.report(request.day))

    async def ExportUsage(
        self, request: usage_pb.ExportUsageRequest, _context: Context
    ) -> usage_pb.ExportUsageResponse:
        allowed("admin")
        asked = ExportUsageRequest(
            after=request.after, page_size=request.page_size, since=request.since, until=request.until
        )
        page = await self._cost.export(asked)
        return usage_pb.ExportUsageResponse(records=page.records, next=page.next, more=page.more)

    async def ListPrices(
        self, request: usage_pb.ListPricesRequest, _context: Context
    ) -> usage_pb.ListPricesResponse:
        allowed("admin")
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
        allowed("admin")
        return alerts_pb.ListAlertsResponse(alerts=await self._cost.alerts(request.limit))
