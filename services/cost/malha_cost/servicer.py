"""CostService: RPC in, judge, RPC out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc.aio

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.cost.v1 import cost_service_pb2 as pb
from malha.api.cost.v1.cost_service_pb2_grpc import CostServiceServicer
from malha.api.cost.v1.usage_pb2 import UsageGroup
from malha.errors import ErrorReason, MalhaError
from malha.wire import current
from malha_cost.accountant import Accountant
from malha_cost.accounts import ORGANISATION
from malha_cost.judge import MOST_HELD, Judge
from malha_cost.telling import Telling

Context = grpc.aio.ServicerContext[Any, Any]

_ADMIN = "admin"
_OPERATOR = "operator"
_KNOWS_RUNS = "planner"


class CostServicer(CostServiceServicer):
    """Serves the contract ``malha.api.cost.v1.CostService``."""

    def __init__(self, judge: Judge, accountant: Accountant, telling: Telling) -> None:
        self._judge = judge
        self._accountant = accountant
        self._telling = telling

    async def Authorize(self, request: pb.AuthorizeRequest, _context: Context) -> pb.AuthorizeResponse:
        return await self._judge.authorize(current().principal, request.settle, request.reserve)

    async def Settle(self, request: pb.SettleRequest, _context: Context) -> pb.SettleResponse:
        answer = await self._judge.authorize(current().principal, request.settle, ())
        return pb.SettleResponse(settled=answer.settled)

    async def GetBudget(self, _request: pb.GetBudgetRequest, _context: Context) -> pb.GetBudgetResponse:
        return await self._judge.standing(current().principal)

    async def SetBudget(self, request: pb.SetBudgetRequest, _context: Context) -> pb.SetBudgetResponse:
        principal = _with_right(_OPERATOR if request.budget.scope == ORGANISATION else _ADMIN)
        return pb.SetBudgetResponse(status=await self._judge.set_budget(principal, request.budget))

    async def SetBudgetPolicy(
        self, request: pb.SetBudgetPolicyRequest, _context: Context
    ) -> pb.SetBudgetPolicyResponse:
        principal = _with_right(_ADMIN)
        operator = _OPERATOR in principal.scopes
        policy = await self._judge.set_policy(principal, request.policy, operator=operator)
        return pb.SetBudgetPolicyResponse(policy=policy)

    async def GetUsage(self, request: pb.GetUsageRequest, _context: Context) -> pb.GetUsageResponse:
        principal, group = _with_right(_ADMIN), request.group_by
        if group == UsageGroup.USAGE_GROUP_UNSPECIFIED:
            days = await self._judge.usage(principal, request.since, request.until)
            return pb.GetUsageResponse(days=days)
        everybody = group == UsageGroup.USAGE_GROUP_TENANT and _OPERATOR in principal.scopes
        rows = await self._accountant.usage(
            principal, group, request.since, request.until, everybody=everybody
        )
        return pb.GetUsageResponse(rows=rows)

    async def GetDailyReport(
        self, request: pb.GetDailyReportRequest, _context: Context
    ) -> pb.GetDailyReportResponse:
        report = await self._accountant.report(_with_right(_ADMIN), request.day)
        return pb.GetDailyReportResponse(report=report)

    async def ExportUsage(self, request: pb.ExportUsageRequest, _context: Context) -> pb.ExportUsageResponse:
        return await self._accountant.export(_with_right(_ADMIN), request)

    async def Quote(self, request: pb.QuoteRequest, _context: Context) -> pb.QuoteResponse:
        _with_right(_ADMIN)
        return pb.QuoteResponse(quotes=self._judge.quote(request))

    async def Adjust(self, request: pb.AdjustRequest, _context: Context) -> pb.AdjustResponse:
        return pb.AdjustResponse(amount_microusd=await self._judge.adjust(_with_right(_OPERATOR), request))

    async def ListHeld(self, request: pb.ListHeldRequest, _context: Context) -> pb.ListHeldResponse:
        _only_the_planner()
        older_than = timedelta(seconds=request.older_than_seconds)
        runs = await self._judge.held(older_than, skip=request.skip)
        more = len(runs) == MOST_HELD
        return pb.ListHeldResponse(runs=runs, next=request.skip + len(runs) if more else 0)

    async def ListAlerts(self, request: pb.ListAlertsRequest, _context: Context) -> pb.ListAlertsResponse:
        principal = _with_right(_ADMIN)
        operator = _OPERATOR in principal.scopes
        found = await self._telling.latest(principal, request.limit, operator=operator)
        return pb.ListAlertsResponse(alerts=found)

    async def ListUntoldAlerts(
        self, _request: pb.ListUntoldAlertsRequest, _context: Context
    ) -> pb.ListUntoldAlertsResponse:
        _only_the_planner()
        return pb.ListUntoldAlertsResponse(alerts=await self._telling.untold())

    async def MarkAlertsTold(
        self, request: pb.MarkAlertsToldRequest, _context: Context
    ) -> pb.MarkAlertsToldResponse:
        _only_the_planner()
        await self._telling.told(request.alerts)
        return pb.MarkAlertsToldResponse()


def _only_the_planner() -> None:
    if current().caller != _KNOWS_RUNS:
        raise MalhaError(
            ErrorReason.ERROR_REASON_CALLER_NOT_ALLOWED, "only the planner asks for what is all tenants'"
        )


def _with_right(scope: str) -> Principal:
    principal = current().principal
    if scope not in principal.scopes:
        raise MalhaError(
            ErrorReason.ERROR_REASON_SCOPE_MISSING,
            f"this needs the right {scope!r}",
            metadata={"scope": scope},
        )
    return principal
