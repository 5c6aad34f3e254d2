"""What retrieval needs from outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from malha.api.retrieval.v1.retrieval_pb2 import Document, Passage
from malha_retrieval.chunking import Chunk


class Index(Protocol):
    """Documents and their passages, by tenant; no method sees another tenant's rows."""

    async def holds(self, tenant: str, name: str, fingerprint: bytes) -> int | None:
        """How many passages the document has if it is stored with this fingerprint; else None."""
        ...

    async def replace(
        self, tenant: str, document: Document, fingerprint: bytes, text: str, chunks: Sequence[Chunk]
    ) -> None:
        """Store a document in place of the one of its name; readers see the old one or the new, whole."""
        ...

    async def search(self, tenant: str, terms: Sequence[str], limit: int) -> Sequence[Passage]:
        """The passages in which the terms weigh most, best first; at most ``limit``."""
        ...
