"""The guard, by gRPC. No verdict is no permission: a failure here refuses the input."""

from __future__ import annotations

from malha.api.guard.v1.guard_service_pb2 import CheckRequest, Judgement, Stage
from malha.api.guard.v1.guard_service_pb2_grpc import GuardServiceStub
from malha.errors import unavailable
from malha.wire import Peer

_SECONDS = 2.0


class GuardPeer:
    """Judges what people say over the wire."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = GuardServiceStub(peer.channel)

    async def check_input(self, text: str, agent: str) -> Judgement:
        """What may be done with a caller's text."""
        return await self._check(Stage.STAGE_INPUT, text, agent)

    async def check_result(self, text: str, agent: str) -> Judgement:
        """What may be done with what a person says came of a tool."""
        return await self._check(Stage.STAGE_TOOL_RESULT, text, agent)

    async def _check(self, stage: Stage, text: str, agent: str) -> Judgement:
        request = CheckRequest(stage=stage, texts=[text], agent=agent)
        response = await self._peer.call(self._stub.Check, request, timeout=_SECONDS, idempotent=True)
        if len(response.judgements) != 1:
            raise unavailable("guard")
        return response.judgements[0]
