"""The guard service."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from malha.api.guard.v1.guard_service_pb2 import (
    CheckRequest,
    CheckResponse,
    FilterStreamRequest,
    FilterStreamResponse,
)
from malha.api.guard.v1.guard_service_pb2_grpc import GuardServiceStub
from malha.wire import Peer

_SECONDS = 5.0


class GuardPeer:
    """`malha_planner.ports.Guard` over gRPC."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = GuardServiceStub(peer.channel)

    async def check(self, request: CheckRequest) -> CheckResponse:
        answer: CheckResponse = await self._peer.call(
            self._stub.Check, request, timeout=_SECONDS, idempotent=True
        )
        return answer

    async def filter(
        self, requests: AsyncIterator[FilterStreamRequest]
    ) -> AsyncGenerator[FilterStreamResponse, None]:
        async with aclosing(self._peer.stream(self._stub.FilterStream, requests)) as responses:
            async for response in responses:
                yield response
