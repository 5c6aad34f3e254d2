"""Documents: the refused do not stop the others."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pydantic import ValidationError

from malha.api.retrieval.v1.retrieval_pb2 import Document, IngestOutcome, IngestStatus, Passage
from malha.errors import MalhaError
from malha_gateway.knowledge import ingest
from malha_gateway.settings import Settings
from malha_retrieval.intake import LARGEST_BYTES


class Shelf:
    """Stores whatever reaches it."""

    def __init__(self) -> None:
        self.stored: list[str] = []

    async def ingest(self, documents: Sequence[Document]) -> Sequence[IngestOutcome]:
        self.stored += [document.name for document in documents]
        return [
            IngestOutcome(name=document.name, status=IngestStatus.INGEST_STATUS_STORED)
            for document in documents
        ]

    async def search(self, query: str, limit: int) -> Sequence[Passage]:
        return []


async def test_a_document_too_large_is_refused_with_its_reason_and_the_others_go_in() -> None:
    shelf = Shelf()
    documents = [
        Document(name="a", text="a"),
        Document(name="big", content=b"x" * 101),
        Document(name="wide", text="ã" * 51),
        Document(name="b", content=b"x" * 100),
    ]
    outcomes = await ingest(shelf, documents, max_bytes=100)
    assert shelf.stored == ["a", "b"]
    assert [outcome.name for outcome in outcomes] == ["a", "big", "wide", "b"]
    assert [outcome.status for outcome in outcomes] == [
        IngestStatus.INGEST_STATUS_STORED,
        IngestStatus.INGEST_STATUS_REFUSED,
        IngestStatus.INGEST_STATUS_REFUSED,
        IngestStatus.INGEST_STATUS_STORED,
    ]
    assert "at most 100 are accepted" in outcomes[1].reason


async def test_a_request_too_large_is_refused_whole_by_the_field_s_name() -> None:
    with pytest.raises(MalhaError) as raised:
        await ingest(
            Shelf(), [Document(name=str(n), content=b"x" * (1 << 20)) for n in range(17)], max_bytes=5
        )
    assert raised.value.violations[0][0] == "documents"


def test_no_gateway_is_set_to_take_documents_that_retrieval_refuses() -> None:
    with pytest.raises(ValidationError) as refusal:
        Settings(max_document_bytes=LARGEST_BYTES + 1)  # type: ignore[call-arg]  # the others are not asked for
    assert ("max_document_bytes",) in {error["loc"] for error in refusal.value.errors()}
