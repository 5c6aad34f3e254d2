"""Documents on their way in: what is too large is turned away here, the others go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from malha.api.retrieval.v1.retrieval_pb2 import Document, IngestOutcome, IngestStatus
from malha.errors import invalid
from malha_gateway.ports import Retrieval

_REQUEST_BYTES = 16 * 1024 * 1024


async def ingest(
    retrieval: Retrieval, documents: Sequence[Document], *, max_bytes: int
) -> list[IngestOutcome]:
    """An outcome a document, in order; one that is refused does not stop the others.

    Raises:
        MalhaError: FIELD_INVALID for a request of more than 16 MiB; what ``retrieval`` raises.
    """
    sized = [(document, _size(document)) for document in documents]
    if sum(size for _, size in sized) > _REQUEST_BYTES:
        raise invalid("documents", "hold more than 16 MiB together; send them in several requests")
    fitting = [document for document, size in sized if size <= max_bytes]
    stored: Iterator[IngestOutcome] = iter(await retrieval.ingest(fitting) if fitting else ())
    return [
        next(stored) if size <= max_bytes else _too_large(document.name, size, max_bytes)
        for document, size in sized
    ]


def _size(document: Document) -> int:
    # of a text this takes a millisecond for each megabyte: once is enough
    return len(document.content) or len(document.text.encode())


def _too_large(name: str, size: int, max_bytes: int) -> IngestOutcome:
    return IngestOutcome(
        name=name,
        status=IngestStatus.INGEST_STATUS_REFUSED,
        reason=f"has {size:,} bytes; at most {max_bytes:,} are accepted; split it",
    )
