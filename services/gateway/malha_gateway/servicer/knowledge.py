"""Documents."""

from __future__ import annotations

from malha.api.gateway.v1 import knowledge_service_pb2 as knowledge_pb
from malha.api.gateway.v1.knowledge_service_pb2_grpc import KnowledgeServiceServicer
from malha_gateway.knowledge import ingest
from malha_gateway.ports import Retrieval
from malha_gateway.servicer.calls import Context, allowed

_DEFAULT_PASSAGES = 5


class KnowledgeServicer(KnowledgeServiceServicer):
    """Documents. Scope "knowledge"."""

    def __init__(self, retrieval: Retrieval, *, max_document_bytes: int) -> None:
        self._retrieval = retrieval
        self._max_document_bytes = max_document_bytes

    async def Ingest(
        self, request: knowledge_pb.IngestRequest, _context: Context
    ) -> knowledge_pb.IngestResponse:
        allowed("knowledge")
        outcomes = await ingest(self._retrieval, request.documents, max_bytes=self._max_document_bytes)
        return knowledge_pb.IngestResponse(outcomes=outcomes)

    async def Search(
        self, request: knowledge_pb.SearchRequest, _context: Context
    ) -> knowledge_pb.SearchResponse:
        allowed("knowledge")
        passages = await self._retrieval.search(request.query, request.limit or _DEFAULT_PASSAGES)
        return knowledge_pb.SearchResponse(passages=passages)
