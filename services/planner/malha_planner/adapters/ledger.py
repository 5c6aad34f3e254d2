"""The cost service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from malha.api.cost.v1.cost_service_pb2 import (
    AlertName,
    AuthorizeRequest,
    AuthorizeResponse,
    ListHeldRequest,
    ListHeldResponse,
    ListUntoldAlertsRequest,
    ListUntoldAlertsResponse,
    MarkAlertsToldRequest,
    SettleRequest,
    SettleResponse,
)
from malha.api.cost.v1.cost_service_pb2_grpc import CostServiceStub
from malha.api.event.v1.alert_pb2 import Alert
from malha.wire import Peer

_SECONDS = 5.0


class CostLedger:
    """`malha_planner.ports.Ledger`, `HeldMoney`, `Alerts` over gRPC. Calls are idempotent by their keys."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = CostServiceStub(peer.channel)

    async def authorize(self, request: AuthorizeRequest) -> AuthorizeResponse:
        answer: AuthorizeResponse = await self._peer.call(
            self._stub.Authorize, request, timeout=_SECONDS, idempotent=True
        )
        return answer

    async def settle(self, request: SettleRequest) -> SettleResponse:
        answer: SettleResponse = await self._peer.call(
            self._stub.Settle, request, timeout=_SECONDS, idempotent=True
        )
        return answer

    async def held(self, older_than: timedelta, *, skip: int) -> ListHeldResponse:
        request = ListHeldRequest(older_than_seconds=int(older_than.total_seconds()), skip=skip)
        answer: ListHeldResponse = await self._peer.call(
            self._stub.ListHeld, request, timeout=_SECONDS, idempotent=True
        )
        return answer

    async def untold(self) -> Sequence[Alert]:
        answer: ListUntoldAlertsResponse = await self._peer.call(
            self._stub.ListUntoldAlerts, ListUntoldAlertsRequest(), timeout=_SECONDS, idempotent=True
        )
        return answer.alerts

    async def told(self, alerts: Sequence[AlertName]) -> None:
        request = MarkAlertsToldRequest(alerts=alerts)
        await self._peer.call(self._stub.MarkAlertsTold, request, timeout=_SECONDS, idempotent=True)
