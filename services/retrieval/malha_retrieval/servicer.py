"""RetrievalService: RPC in, ingest or search, RPC out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from weakref import WeakValueDictionary

import grpc.aio

from malha.api.retrieval.v1 import retrieval_service_pb2 as pb
from malha.api.retrieval.v1.retrieval_pb2 import IngestOutcome, IngestStatus
from malha.api.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceServicer
from malha.errors import MalhaError
from malha.telemetry import metrics
from malha.wire import current, validate
from malha_retrieval.ingestion import ingest
from malha_retrieval.ports import Index
from malha_retrieval.terms import terms

Context = grpc.aio.ServicerContext[Any, Any]

_DEFAULT_LIMIT = 5


class RetrievalServicer(RetrievalServiceServicer):
    """Serves the contract ``malha.api.retrieval.v1.RetrievalService``."""

    def __init__(self, index: Index) -> None:
        self._index = index
        # By tenant: its documents are taken in one after another. There is one writer, and what waits for it
        # is one transaction: many large documents at once would fill the memory for nothing, and those of
        # all others would be stored when the last of them is.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def Ingest(
        self, request_iterator: AsyncIterator[pb.IngestRequest], _context: Context
    ) -> AsyncIterator[pb.IngestResponse]:
        tenant = current().principal.tenant
        turn = self._turns.setdefault(tenant, asyncio.Lock())
        async for request in request_iterator:
            async with turn:
                outcome = _breach(request) or await ingest(self._index, tenant, request.document)
            metrics.RETRIEVAL_DOCUMENTS.labels(IngestStatus.Name(outcome.status)).inc()
            yield pb.IngestResponse(outcome=outcome)

    async def Search(self, request: pb.SearchRequest, _context: Context) -> pb.SearchResponse:
        tenant = current().principal.tenant
        limit = request.limit or _DEFAULT_LIMIT
        return pb.SearchResponse(passages=await self._index.search(tenant, terms(request.query), limit))


def _breach(request: pb.IngestRequest) -> IngestOutcome | None:
    """A request that breaks the contract costs its own document, not the stream."""
    try:
        validate(request)
    except MalhaError as error:
        return IngestOutcome(
            name=request.document.name, status=IngestStatus.INGEST_STATUS_REFUSED, reason=error.message
        )
    return None
