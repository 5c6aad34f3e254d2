"""Retrieval, by gRPC: the tenant's documents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from malha.api.retrieval.v1.retrieval_pb2 import Document, IngestOutcome, Passage
from malha.api.retrieval.v1.retrieval_service_pb2 import IngestRequest, SearchRequest
from malha.api.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from malha.errors import unavailable
from malha.wire import Peer

_SEARCH_SECONDS = 5.0
_INGEST_SECONDS = 120.0


class RetrievalPeer:
    """Documents over the wire."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = RetrievalServiceStub(peer.channel)

    async def ingest(self, documents: Sequence[Document]) -> Sequence[IngestOutcome]:
        """Store documents; an outcome each, in order.

        A stream that ends early is an error: the caller sends all again, and what was stored is
        answered as unchanged.
        """

        async def requests() -> AsyncIterator[IngestRequest]:
            for document in documents:
                yield IngestRequest(document=document)

        answers = self._peer.stream(self._stub.Ingest, requests(), timeout=_INGEST_SECONDS)
        outcomes = [answer.outcome async for answer in answers]
        if len(outcomes) != len(documents):
            raise unavailable("retrieval")
        return outcomes

    async def search(self, query: str, limit: int) -> Sequence[Passage]:
        """The passages nearest to the query, best first."""
        request = SearchRequest(query=query, limit=limit)
        response = await self._peer.call(self._stub.Search, request, timeout=_SEARCH_SECONDS, idempotent=True)
        return response.passages
