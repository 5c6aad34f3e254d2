"""CostService: RPC in, judge, RPC out."""

from __future__ import annotations

from typing import Any

import grpc.aio

from malha.api.cost.v1 import cost_service_pb2 as pb
from malha.api.cost.v1.cost_service_pb2_grpc import CostServiceServicer
from malha.errors import ErrorReason, MalhaError
from malha.wire import current
from malha_cost.judge import Judge

Context = grpc.aio.ServicerContext[Any, Any]

_ADMIN = "admin"


class CostServicer(CostServiceServicer):
    """Serves the contract ``malha.api.cost.v1.CostService``."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    async def Authorize(self, request: pb.AuthorizeRequest, _context: Context) -> pb.AuthorizeResponse:
        return await self._judge.authorize(current().principal, request.settle, request.reserve)

    async def Settle(self, request: pb.SettleRequest, _context: Context) -> pb.SettleResponse:
        answer = await self._judge.authorize(current().principal, request.settle, ())
        return pb.SettleResponse(settled=answer.settled)

    async def GetBudget(self, _request: pb.GetBudgetRequest, _context: Context) -> pb.GetBudgetResponse:
        return pb.GetBudgetResponse(statuses=await self._judge.budgets(current().principal))

    async def SetBudget(self, request: pb.SetBudgetRequest, _context: Context) -> pb.SetBudgetResponse:
        principal = current().principal
        if _ADMIN not in principal.scopes:
            raise MalhaError(
                ErrorReason.ERROR_REASON_SCOPE_MISSING,
                "setting a budget needs the right 'admin'",
                metadata={"scope": _ADMIN},
            )
        return pb.SetBudgetResponse(status=await self._judge.set_budget(principal, request.budget))
