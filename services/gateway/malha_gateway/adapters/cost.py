"""Cost, by gRPC: the only judge of money."""

from __future__ import annotations

from collections.abc import Sequence

from malha.api.cost.v1.budget_pb2 import Budget, BudgetStatus
from malha.api.cost.v1.cost_service_pb2 import GetBudgetRequest, SetBudgetRequest
from malha.api.cost.v1.cost_service_pb2_grpc import CostServiceStub
from malha.wire import Peer

_SECONDS = 2.0


class CostPeer:
    """Budgets over the wire."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = CostServiceStub(peer.channel)

    async def budgets(self) -> Sequence[BudgetStatus]:
        """Where the budgets of tenant and key stand."""
        response = await self._peer.call(
            self._stub.GetBudget, GetBudgetRequest(), timeout=_SECONDS, idempotent=True
        )
        return response.statuses

    async def set_budget(self, budget: Budget) -> BudgetStatus:
        """Set a hard limit; setting it again changes nothing."""
        request = SetBudgetRequest(budget=budget)
        response = await self._peer.call(self._stub.SetBudget, request, timeout=_SECONDS, idempotent=True)
        return response.status
