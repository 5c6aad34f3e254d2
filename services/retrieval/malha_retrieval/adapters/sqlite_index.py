"""The embedded index: SQLite's FTS5 ranks with BM25, and every query carries the tenant.

A tenant is a word of the index (``scope``), so the search itself is narrowed to its rows; and the rows
that come out are compared with the tenant once more.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from malha.api.retrieval.v1.retrieval_pb2 import Document, Passage
from malha.clock import Clock
from malha.errors import unavailable
from malha.sqlite import Database
from malha.telemetry import log
from malha_retrieval.chunking import Chunk
from malha_retrieval.terms import variants

MIGRATIONS = Path(__file__).parent.parent / "migrations"

# Weights of scope, document, section and text in BM25. A word in a heading says what a passage is
# about; the scope is a filter and weighs nothing. Ranking looks at row numbers alone; only the best
# are then read, and compared with the tenant.
_SEARCH = """
SELECT p.document, p.section, p.text, best.score
FROM (
  SELECT rowid AS id, -bm25(passages_text, 0.0, 1.0, 2.0, 1.0) AS score
  FROM passages_text WHERE passages_text MATCH ? ORDER BY score DESC, id LIMIT ?
) AS best JOIN passages AS p ON p.id = best.id AND p.tenant = ?
ORDER BY best.score DESC, best.id
"""


class SqliteIndex:
    """The port ``Index`` over one SQLite file."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def holds(self, tenant: str, name: str, fingerprint: bytes) -> int | None:
        def read(connection: sqlite3.Connection) -> int | None:
            row = connection.execute(
                "SELECT chunks FROM documents WHERE tenant = ? AND name = ? AND fingerprint = ?",
                (tenant, name, fingerprint),
            ).fetchone()
            return None if row is None else int(row["chunks"])

        with _reached():
            return await self._database.read(read)

    async def replace(
        self, tenant: str, document: Document, fingerprint: bytes, text: str, chunks: Sequence[Chunk]
    ) -> None:
        stored_at = self._clock.now().isoformat(timespec="seconds")
        metadata = json.dumps(dict(document.metadata), sort_keys=True)
        scope = _scope(tenant)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "DELETE FROM passages WHERE tenant = ? AND document = ?", (tenant, document.name)
            )
            connection.executemany(
                "INSERT INTO passages (tenant, document, scope, section, text) VALUES (?, ?, ?, ?, ?)",
                [(tenant, document.name, scope, c.section, text[c.start : c.end]) for c in chunks],
            )
            connection.execute(
                "INSERT OR REPLACE INTO documents (tenant, name, fingerprint, metadata, chunks, stored_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (tenant, document.name, fingerprint, metadata, len(chunks), stored_at),
            )

        with _reached():
            await self._database.write(write)

    async def search(self, tenant: str, terms: Sequence[str], limit: int) -> Sequence[Passage]:
        if not terms:
            return []
        match = _match(tenant, terms)

        def read(connection: sqlite3.Connection) -> list[Passage]:
            rows = connection.execute(_SEARCH, (match, limit, tenant))
            return [
                Passage(
                    document=row["document"], section=row["section"], text=row["text"], score=row["score"]
                )
                for row in rows
            ]

        with _reached():
            return await self._database.read(read)


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:  # a full disk, a file that somebody else has locked
        log.error("index_not_reached", error=str(error))
        raise unavailable("the index") from error


def _scope(tenant: str) -> str:
    # letters and digits alone, whatever a tenant is called: one word of the index
    return "t" + hashlib.sha256(tenant.encode()).hexdigest()[:24] + "0"


def _match(tenant: str, terms: Sequence[str]) -> str:
    """The FTS5 expression; every term is a quoted string, in which only the quote is special."""
    quoted = ('"' + word.replace('"', '""') + '"' for term in terms for word in variants(term))
    return f"scope : {_scope(tenant)} AND {{document section text}} : ({' OR '.join(quoted)})"
