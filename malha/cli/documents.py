"""Files of a folder, as documents to ingest, in requests of a fitting size."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from malha.api.retrieval.v1.retrieval_pb2 import Document, IngestOutcome
from malha.client import ErrorReason, MalhaError

TEXT_SUFFIXES = frozenset({".md", ".markdown", ".txt", ".rst"})
_REQUEST_BYTES = 4 * 1024 * 1024
_REQUEST_DOCUMENTS = 50
_MOST_BYTES = 5 * 1024 * 1024
"""No mesh can be set to accept a larger document."""
_LONGEST_NAME = 512
"""Characters of a name; the contract refuses a whole request for one that is longer."""


def found(path: Path) -> list[tuple[str, Path]]:
    """(name, file) of every text file under ``path``; the name starts with the folder's own name.

    A file that is named itself is taken whatever its suffix: the mesh says so if it cannot read it.
    """
    if path.is_file():
        return [(path.name, path)]
    root = path.resolve()
    files = sorted(f for f in root.rglob("*") if f.is_file() and f.suffix.lower() in TEXT_SUFFIXES)
    return [(f"{root.name}/{f.relative_to(root).as_posix()}", f) for f in files]


def batches(files: list[tuple[str, Path]], refuse: Callable[[str, str], None]) -> Iterator[list[Document]]:
    """Documents in requests that stay well below the edge's size limit; `refuse` is told the name of a file
    that cannot be sent, and why."""
    batch: list[Document] = []
    size = 0
    for name, file in files:
        document = _document(name, file)
        if isinstance(document, str):
            refuse(name, document)
            continue
        if batch and (size + len(document.content) > _REQUEST_BYTES or len(batch) == _REQUEST_DOCUMENTS):
            yield batch
            batch, size = [], 0
        batch.append(document)
        size += len(document.content)
    if batch:
        yield batch


async def stored(
    ingest: Callable[[list[Document]], Awaitable[Sequence[IngestOutcome]]],
    batch: list[Document],
    *,
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Sequence[IngestOutcome]:
    """What came of a batch. A key that has used up its requests waits for the next: begun anew, a folder
    would use them up for what is stored already, and never be through."""
    while True:
        try:
            return await ingest(batch)
        except MalhaError as error:
            if error.reason != ErrorReason.ERROR_REASON_RATE_LIMITED or error.retry_after is None:
                raise
            await wait(error.retry_after)


def _document(name: str, file: Path) -> Document | str:
    """The document, or why the file cannot be one."""
    if len(name) > _LONGEST_NAME:
        return f"its path has {len(name)} characters; at most {_LONGEST_NAME} are accepted: shorten it"
    try:
        if (size := file.stat().st_size) > _MOST_BYTES:
            return f"has {size:,} bytes; no mesh accepts more than {_MOST_BYTES:,}; split it"
        return Document(name=name, content=file.read_bytes())
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    except UnicodeEncodeError:
        return "its name is not UTF-8: rename it"
