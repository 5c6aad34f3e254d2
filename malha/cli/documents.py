"""Files of a folder, as documents to ingest, in requests of a fitting size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from malha.api.retrieval.v1.retrieval_pb2 import Document

TEXT_SUFFIXES = frozenset({".md", ".markdown", ".txt", ".rst"})
_REQUEST_BYTES = 4 * 1024 * 1024
_REQUEST_DOCUMENTS = 50


def found(path: Path) -> list[tuple[str, Path]]:
    """(name, file) of every text file under ``path``; the name starts with the folder's own name.

    A file that is named itself is taken whatever its suffix: the mesh says so if it cannot read it.
    """
    if path.is_file():
        return [(path.name, path)]
    root = path.resolve()
    files = sorted(f for f in root.rglob("*") if f.is_file() and f.suffix.lower() in TEXT_SUFFIXES)
    return [(f"{root.name}/{f.relative_to(root).as_posix()}", f) for f in files]


def batches(files: list[tuple[str, Path]]) -> Iterator[list[Document]]:
    """Documents in requests that stay well below the edge's size limit."""
    batch: list[Document] = []
    size = 0
    for name, file in files:
        content = file.read_bytes()
        if batch and (size + len(content) > _REQUEST_BYTES or len(batch) == _REQUEST_DOCUMENTS):
            yield batch
            batch, size = [], 0
        batch.append(Document(name=name, content=content))
        size += len(content)
    if batch:
        yield batch
