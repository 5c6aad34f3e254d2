"""Taking a document in: refused, unchanged or stored; an outcome always, so others can go on."""

from __future__ import annotations

import asyncio

from malha.api.retrieval.v1.retrieval_pb2 import Document, IngestOutcome, IngestStatus
from malha_retrieval import intake
from malha_retrieval.ports import Index

_ON_THE_LOOP = 20_000
"""Characters chunked on the loop (about 1 ms); longer documents go to a thread."""


async def ingest(index: Index, tenant: str, document: Document) -> IngestOutcome:
    """Store ``document`` for ``tenant``; what came of it.

    Raises:
        MalhaError: the index is not available; nothing of the document was stored.
    """
    try:
        return await _taken_in(index, tenant, document)
    except intake.Refused as refusal:
        return IngestOutcome(
            name=document.name, status=IngestStatus.INGEST_STATUS_REFUSED, reason=str(refusal)
        )


async def _taken_in(index: Index, tenant: str, document: Document) -> IngestOutcome:
    text = intake.read(document)
    fingerprint = intake.fingerprint(document, text)
    held = await index.holds(tenant, document.name, fingerprint)
    if held is not None:
        return IngestOutcome(name=document.name, status=IngestStatus.INGEST_STATUS_UNCHANGED, chunks=held)
    if len(text) > _ON_THE_LOOP:
        chunks = await asyncio.to_thread(intake.chunk, document.name, text)
    else:
        chunks = intake.chunk(document.name, text)
    await index.replace(tenant, document, fingerprint, text, chunks)
    return IngestOutcome(name=document.name, status=IngestStatus.INGEST_STATUS_STORED, chunks=len(chunks))
