"""The cost service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from malha.api.cost.v1.cost_service_pb2 import (
    AuthorizeRequest,
    AuthorizeResponse,
    HeldRun,
    ListHeldRequest,
    ListHeldResponse,
    SettleRequest,
    SettleResponse,
)
from malha.api.cost.v1.cost_service_pb2_grpc import CostServiceStub
from malha.wire import Peer

_SECONDS = 5.0


class CostLedger:
    """`malha_planner.ports.Ledger` and `HeldMoney` over gRPC. Calls are idempotent by their step keys."""

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

    async def held(self, older_than: timedelta) -> Sequence[HeldRun]:
        request = ListHeldRequest(older_than_seconds=int(older_than.total_seconds()))
        answer: ListHeldResponse = await self._peer.call(
            self._stub.ListHeld, request, timeout=_SECONDS, idempotent=True
        )
        return answer.runs
