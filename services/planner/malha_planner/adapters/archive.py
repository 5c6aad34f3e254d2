"""The archive in an SQLite file of its own, flushed at every commit: after it, the stream forgets."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from malha.api.planner.v1.erasure_pb2 import Erasure
from malha.api.run.v1.archive_pb2 import ArchivedJournal, ArchivedRecord
from malha.run import Entry, erased_id, pack, unpack
from malha.sqlite import Database

MIGRATIONS = Path(__file__).parent.parent / "archive_migrations"

_PUT = """
INSERT INTO archived (tenant, run_id, last_sequence, journal)
SELECT :tenant, :run_id, :sequence, :journal
WHERE NOT EXISTS (SELECT 1 FROM erasures WHERE name = :name AND through >= :sequence)
ON CONFLICT (tenant, run_id) DO NOTHING
"""
_GET = "SELECT journal FROM archived WHERE tenant = ? AND run_id = ?"
_REMOVE = "DELETE FROM archived WHERE tenant = ? AND run_id = ? AND last_sequence <= ?"
_ASK = """
INSERT INTO erasures (name, through, request) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET through = excluded.through, request = excluded.request
WHERE excluded.through > through
"""
_ASKED = "SELECT request FROM erasures WHERE request IS NOT NULL AND name > ? ORDER BY name LIMIT ?"
_WAITS = "SELECT 1 FROM erasures WHERE name = ? AND request IS NOT NULL"
_DONE = "UPDATE erasures SET request = NULL WHERE name = ? AND through = ?"


class SqliteArchive:
    """`malha_planner.ports.Shelf` and `malha_planner.ports.Erasures` in one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @staticmethod
    async def open(path: Path) -> Database:
        """The file, each commit synced to disk."""
        return await Database.open(path, MIGRATIONS, durable=True)

    async def put(self, tenant: str, run_id: str, entries: Sequence[Entry]) -> bool:
        values = {
            "tenant": tenant,
            "run_id": run_id,
            "name": erased_id(tenant, run_id),
            "sequence": entries[-1].sequence,
            "journal": pack(entries).SerializeToString(),
        }

        def write(connection: sqlite3.Connection) -> bool:
            connection.execute(_PUT, values)
            return connection.execute(_GET, (tenant, run_id)).fetchone() is not None

        return await self._database.write(write)

    async def entries(self, tenant: str, run_id: str) -> list[Entry]:
        return unpack(await self.records(tenant, run_id))

    async def records(self, tenant: str, run_id: str) -> Sequence[ArchivedRecord]:
        def read(connection: sqlite3.Connection) -> Sequence[ArchivedRecord]:
            found = connection.execute(_GET, (tenant, run_id)).fetchone()
            return ArchivedJournal.FromString(found["journal"]).records if found else ()

        return await self._database.read(read)

    async def remove(self, tenant: str, run_id: str, *, through: int) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.execute(_REMOVE, (tenant, run_id, through))

        await self._database.write(write)

    # erasures

    async def ask(self, erasure: Erasure) -> None:
        values = (_name(erasure), erasure.through, erasure.SerializeToString())

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(_ASK, values)

        await self._database.write(write)

    async def asked(self, *, after: Erasure | None = None, limit: int) -> list[Erasure]:
        values = (_name(after) if after else "", limit)

        def read(connection: sqlite3.Connection) -> list[Erasure]:
            return [Erasure.FromString(found["request"]) for found in connection.execute(_ASKED, values)]

        return await self._database.read(read)

    async def waits(self, tenant: str, run_id: str) -> bool:
        def read(connection: sqlite3.Connection) -> bool:
            return connection.execute(_WAITS, (erased_id(tenant, run_id),)).fetchone() is not None

        return await self._database.read(read)

    async def done(self, erasure: Erasure) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.execute(_DONE, (_name(erasure), erasure.through))

        await self._database.write(write)


def _name(erasure: Erasure) -> str:
    return erased_id(erasure.tenant, erasure.run_id)
