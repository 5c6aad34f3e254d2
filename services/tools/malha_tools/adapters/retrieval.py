"""The retrieval service as the tools see it."""

from __future__ import annotations

from collections.abc import Sequence

from malha.api.retrieval.v1.retrieval_pb2 import Passage
from malha.api.retrieval.v1.retrieval_service_pb2 import SearchRequest
from malha.api.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from malha.wire import Peer

_SECONDS = 5.0


class RetrievalKnowledge:
    """See :class:`malha_tools.ports.Knowledge`."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = RetrievalServiceStub(peer.channel)

    async def search(self, query: str, limit: int) -> Sequence[Passage]:
        request = SearchRequest(query=query, limit=limit)
        response = await self._peer.call(self._stub.Search, request, timeout=_SECONDS, idempotent=True)
        return response.passages
