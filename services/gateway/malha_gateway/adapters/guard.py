"""The guard, by gRPC. No verdict is no permission: a failure here refuses the input."""

from __future__ import annotations

from malha.api.guard.v1.guard_service_pb2 import CheckRequest, Judgement, Stage
from malha.api.guard.v1.guard_service_pb2_grpc import GuardServiceStub
from malha.errors import unavailable
from malha.wire import Peer

_SECONDS = 2.0


class GuardPeer:
    """Judges inputs over the wire."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = GuardServiceStub(peer.channel)

    async def check_input(self, text: str, agent: str) -> Judgement:
        """What may be done with a caller's text."""
        request = CheckRequest(stage=Stage.STAGE_INPUT, texts=[text], agent=agent)
        response = await self._peer.call(self._stub.Check, request, timeout=_SECONDS, idempotent=True)
        if len(response.judgements) != 1:
            raise unavailable("guard")
        return response.judgements[0]
