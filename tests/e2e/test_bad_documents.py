"""Documents that cannot be read, among others that can."""

from __future__ import annotations

import base64

from malha.api.gateway.v1 import knowledge_service_pb2
from malha.api.retrieval.v1.retrieval_pb2 import Document, IngestStatus
from malha.testing.callers import Callers

TOO_LARGE = b"too large " * 500_001
DOCUMENTS = {
    "good.md": b"# Otters\n\nAn otter sleeps afloat.\n",
    "binary.md": b"\x7fELF\x00\x01",
    "latin1.md": "Lontra é um bicho".encode("latin-1"),
    "empty.md": b"",
    "blank.md": b" \n\n",
    "large.md": TOO_LARGE,
    "also-good.txt": "Uma lontra dorme à tona.".encode(),
}


async def test_a_bad_document_is_refused_with_its_reason_and_the_others_go_in(callers: Callers) -> None:
    by_rpc, by_rest = await callers.of("librarian"), await callers.of("librarian-too")
    request = knowledge_service_pb2.IngestRequest(
        documents=[Document(name=name, content=content) for name, content in DOCUMENTS.items()]
    )
    answer = await by_rpc.knowledge.Ingest(request, metadata=by_rpc.metadata, timeout=30)
    outcomes = {o.name: (IngestStatus.Name(o.status), o.reason) for o in answer.outcomes}

    body = [
        {"name": name, "content": base64.b64encode(content).decode()} for name, content in DOCUMENTS.items()
    ]
    async with by_rest.rest.post("/v1/documents", json={"documents": body}) as response:
        assert response.status == 200, await response.text()
        told = (await response.json())["outcomes"]
    assert {o["name"]: (o["status"], o["reason"]) for o in told} == outcomes

    for name, expected in {
        "binary.md": "binary",
        "latin1.md": "UTF-8",
        "empty.md": "empty",
        "blank.md": "empty",
        "large.md": "5,000,000",
    }.items():
        status, reason = outcomes[name]
        assert status == "INGEST_STATUS_REFUSED"
        assert expected in reason
    for name in ("good.md", "also-good.txt"):
        assert outcomes[name] == ("INGEST_STATUS_STORED", "")
    for caller in (by_rpc, by_rest):
        found = await caller.client.search("otter lontra")
        assert {passage.document for passage in found} == {"good.md", "also-good.txt"}
