"""Whose document is taken in next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.retrieval.v1.retrieval_pb2 import Document, Passage
from malha.api.retrieval.v1.retrieval_service_pb2 import IngestRequest
from malha.wire import acting_for
from malha_retrieval.chunking import Chunk
from malha_retrieval.servicer import RetrievalServicer


class Shelf:
    """Stores at once what is not held back."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.stored: list[str] = []
        self.reached, self.released = asyncio.Event(), asyncio.Event()

    async def holds(self, tenant: str, name: str, fingerprint: bytes) -> int | None:
        return None

    async def replace(
        self, tenant: str, document: Document, fingerprint: bytes, text: str, chunks: Sequence[Chunk]
    ) -> None:
        self.begun.append(tenant)
        self.reached.set()
        if tenant == "large":
            await self.released.wait()
        self.stored.append(tenant)

    async def search(self, tenant: str, terms: Sequence[str], limit: int) -> Sequence[Passage]:
        return []


async def send(servicer: RetrievalServicer, tenant: str) -> None:
    async def requests() -> AsyncIterator[IngestRequest]:
        yield IngestRequest(document=Document(name="a.md", text="zebra"))

    with acting_for(Principal(tenant=tenant), timeout=10):
        async for _ in servicer.Ingest(requests(), cast(Any, None)):  # it asks no context
            pass


async def test_documents_that_one_tenant_sends_at_once_do_not_keep_others_waiting() -> None:
    shelf = Shelf()
    servicer = RetrievalServicer(shelf)
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(send(servicer, "large"))
        await asyncio.sleep(0)
        await send(servicer, "small")
        assert shelf.begun == ["large", "small"], "one of each"
        assert shelf.stored == ["small"]
        shelf.released.set()
    assert shelf.stored.count("large") == 5


async def test_a_caller_that_goes_away_leaves_its_turn_to_the_next() -> None:
    shelf = Shelf()
    servicer = RetrievalServicer(shelf)
    gone = asyncio.create_task(send(servicer, "large"))
    async with asyncio.TaskGroup() as group:
        await shelf.reached.wait()
        group.create_task(send(servicer, "large"))
        gone.cancel()
        shelf.released.set()
    assert shelf.begun == ["large", "large"]
    assert shelf.stored == ["large"]
