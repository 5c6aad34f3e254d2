"""What comes in is text, or is refused with the reason, before anything of it is stored."""

from __future__ import annotations

import hashlib
from itertools import islice

from malha.api.retrieval.v1.retrieval_pb2 import Document
from malha_retrieval.chunking import Chunk, chunk_markdown, chunk_plain

LARGEST_BYTES = 5 * 1024 * 1024
MOST_PASSAGES = 20_000
"""Passages of one document. Prose of 5 MB has five thousand; a heading in each line would make half a
million, each with its path of headings, and nobody else's document would be stored for minutes."""

_MARKDOWN = (".md", ".markdown", ".mdx")


class Refused(Exception):  # noqa: N818  # an answer, not a fault
    """Why a document is not taken, and what to do; for its sender to read."""


def read(document: Document) -> str:
    """The document's text, its lines ended by \\n.

    Raises:
        Refused: it is empty, over 5 MB, or no UTF-8 text.
    """
    content = document.content if document.WhichOneof("body") == "content" else document.text.encode()
    if len(content) > LARGEST_BYTES:
        raise Refused(f"it has {len(content):,} bytes; at most {LARGEST_BYTES:,} are accepted: split it")
    if b"\0" in content:
        raise Refused("it is binary (it holds NUL bytes): send its text")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(f"it is no UTF-8 text (byte {error.start:,} is invalid): convert it to UTF-8") from None
    if not text.strip():
        raise Refused("it is empty: there is nothing to find in it")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def fingerprint(document: Document, text: str) -> bytes:
    """SHA-256 over text and metadata: equal means that nothing would change."""
    digest = hashlib.sha256(text.encode())
    for key in sorted(document.metadata):
        for part in (key, document.metadata[key]):
            digest.update(b"\0" + hashlib.sha256(part.encode()).digest())  # whatever stands in it: one part
    return digest.digest()


def chunk(name: str, text: str) -> list[Chunk]:
    """The passages of a document, by its kind: Markdown by structure, anything else by paragraphs.

    Raises:
        Refused: there are too many.
    """
    passages = chunk_markdown(text) if name.lower().endswith(_MARKDOWN) else chunk_plain(text)
    chunks = list(islice(passages, MOST_PASSAGES + 1))
    if len(chunks) > MOST_PASSAGES:
        raise Refused(f"it has more than {MOST_PASSAGES:,} sections or passages: split it")
    return chunks
