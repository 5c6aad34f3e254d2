"""Retrieval over a real socket: a stream of documents in, an outcome each, passages out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.retrieval.v1.retrieval_pb2 import Document, IngestOutcome, IngestStatus, Passage
from malha.api.retrieval.v1.retrieval_service_pb2 import IngestRequest, SearchRequest
from malha.api.retrieval.v1.retrieval_service_pb2_grpc import (
    RetrievalServiceStub,
    add_RetrievalServiceServicer_to_server,
)
from malha.errors import ErrorReason, MalhaError
from malha.sqlite import Database
from malha.stack.secrets import Secrets
from malha.testing.clock import FakeClock
from malha.wire import Identity, Peer, Server, acting_for
from malha_retrieval.adapters.sqlite_index import MIGRATIONS, SqliteIndex
from malha_retrieval.app import CALLERS
from malha_retrieval.intake import MOST_PASSAGES
from malha_retrieval.servicer import RetrievalServicer

STORED, UNCHANGED, REFUSED = (
    IngestStatus.INGEST_STATUS_STORED,
    IngestStatus.INGEST_STATUS_UNCHANGED,
    IngestStatus.INGEST_STATUS_REFUSED,
)


class Caller:
    """A service that asks for a tenant."""

    def __init__(self, target: str, secrets: Path) -> None:
        self._target = target
        self._secrets = secrets

    async def ingest(self, tenant: str, documents: Sequence[Document]) -> list[IngestOutcome]:
        async def requests() -> AsyncIterator[IngestRequest]:
            for document in documents:
                yield IngestRequest(document=document)

        async with self._peer("gateway") as peer:
            with acting_for(Principal(tenant=tenant), timeout=10):
                answers = peer.stream(RetrievalServiceStub(peer.channel).Ingest, requests(), timeout=10)
                return [answer.outcome async for answer in answers]

    async def search(
        self, tenant: str, query: str, *, limit: int = 0, caller: str = "tools"
    ) -> list[Passage]:
        request = SearchRequest(query=query, limit=limit)
        async with self._peer(caller) as peer:
            with acting_for(Principal(tenant=tenant), timeout=10):
                answer = await peer.call(RetrievalServiceStub(peer.channel).Search, request, timeout=10)
        return list(answer.passages)

    @asynccontextmanager
    async def _peer(self, caller: str) -> AsyncIterator[Peer]:
        peer = Peer("retrieval", self._target, identity=Identity.load(self._secrets / caller, caller))
        try:
            yield peer
        finally:
            await peer.close()


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Caller]:
    secrets = Secrets(tmp_path / "secrets").root
    database = await Database.open(tmp_path / "retrieval.db", MIGRATIONS, durable=False)
    server = Server("retrieval", identity=Identity.load(secrets / "retrieval", "retrieval"), allow=CALLERS)
    server.add(add_RetrievalServiceServicer_to_server, RetrievalServicer(SqliteIndex(database, FakeClock())))
    port = await server.start("127.0.0.1:0")
    yield Caller(f"127.0.0.1:{port}", secrets)
    await server.drain(0)
    await database.close()


async def test_refused_documents_say_why_and_the_others_go_in(mesh: Caller) -> None:
    outcomes = await mesh.ingest(
        "acme",
        [
            Document(name="good.md", text="# Zebra\n\nIt sleeps.\n"),
            Document(name="empty.md", text=" "),
            Document(name="binary.png", content=b"\x89PNG\0"),
            Document(name="latin.txt", content=b"a\xe9o"),
            Document(name="large.txt", content=b"x" * (5 * 1024 * 1024 + 1)),
            Document(name="", text="nameless"),
            Document(name="labelled.md", text="x", metadata={str(n): "" for n in range(65)}),
            Document(name="headings.md", text="".join(f"# {n}\n" for n in range(MOST_PASSAGES + 1))),
            Document(name="also.txt", content=b"plain zebra text"),
        ],
    )
    assert [o.status for o in outcomes] == [STORED, *[REFUSED] * 7, STORED]
    assert [bool(o.reason) for o in outcomes] == [False, *[True] * 7, False]
    assert "name" in outcomes[5].reason
    assert {p.document for p in await mesh.search("acme", "zebra")} == {"good.md", "also.txt"}


async def test_a_stream_sent_again_is_unchanged(mesh: Caller) -> None:
    documents = [Document(name=f"{n}.md", text=f"# D{n}\n\nzebra\n") for n in range(5)]
    assert {o.status for o in await mesh.ingest("acme", documents[:3])} == {STORED}
    again = await mesh.ingest("acme", documents)
    assert [o.status for o in again] == [UNCHANGED] * 3 + [STORED] * 2
    assert [o.chunks for o in again] == [1] * 5


async def test_one_tenant_never_finds_anothers_documents(mesh: Caller) -> None:
    await mesh.ingest("acme", [Document(name="a.md", text="# A\n\nzebra\n")])
    assert len(await mesh.search("acme", "zebra")) == 1
    assert await mesh.search("other", "zebra") == []


async def test_nothing_found_is_an_empty_answer(mesh: Caller) -> None:
    await mesh.ingest("acme", [Document(name="a.md", text="# A\n\nzebra\n")])
    assert await mesh.search("acme", "giraffe") == []
    assert await mesh.search("acme", "?!") == []


async def test_five_passages_are_answered_unless_more_are_asked_for(mesh: Caller) -> None:
    await mesh.ingest("acme", [Document(name=f"{n}.md", text="zebra") for n in range(9)])
    assert len(await mesh.search("acme", "zebra")) == 5
    assert len(await mesh.search("acme", "zebra", limit=8)) == 8


@pytest.mark.parametrize(("query", "limit"), [("", 5), ("x" * 2001, 5), ("x", 51), ("x", -1)])
async def test_a_search_outside_the_contract_is_refused(mesh: Caller, query: str, limit: int) -> None:
    with pytest.raises(MalhaError) as refusal:
        await mesh.search("acme", query, limit=limit)
    assert refusal.value.reason == ErrorReason.ERROR_REASON_FIELD_INVALID


async def test_a_service_not_on_the_list_may_not_search(mesh: Caller) -> None:
    with pytest.raises(MalhaError) as refusal:
        await mesh.search("acme", "x", caller="guard")
    assert refusal.value.reason == ErrorReason.ERROR_REASON_CALLER_NOT_ALLOWED
