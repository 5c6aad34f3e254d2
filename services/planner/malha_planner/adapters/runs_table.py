"""The runs table in SQLite. It can be lost: the journal tells it again."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from malha.api.planner.v1.planner_service_pb2 import RunRow
from malha.sqlite import Database
from malha_planner.ports import Row

MIGRATIONS = Path(__file__).parent.parent / "migrations"

_UPSERT = """
INSERT INTO runs (tenant, run_id, last_sequence, accepted_sequence, updated_us,
                  work_class, status, agent, session_id, row)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, run_id) DO UPDATE SET
    last_sequence = excluded.last_sequence, updated_us = excluded.updated_us,
    status = excluded.status, row = excluded.row
WHERE runs.last_sequence < excluded.last_sequence
"""
_FOLLOWED = """
INSERT INTO followed (one, sequence) VALUES (1, ?)
ON CONFLICT (one) DO UPDATE SET sequence = max(sequence, excluded.sequence)
"""
_IDLE = """
SELECT * FROM runs WHERE status IN ('QUEUED', 'RUNNING') AND updated_us < ? ORDER BY updated_us LIMIT ?
"""
_PAGE = """
SELECT accepted_sequence, row FROM runs
WHERE tenant = :tenant AND accepted_sequence < :before
  AND (:status IS NULL OR status = :status)
  AND (:agent IS NULL OR agent = :agent)
  AND (:session_id IS NULL OR session_id = :session_id)
ORDER BY accepted_sequence DESC LIMIT :limit
"""
_NEWEST = 2**63 - 1


class SqliteRunsTable:
    """`malha_planner.ports.RunsTable` in one SQLite file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def upsert(self, rows: Sequence[Row], *, followed: int) -> None:
        values = [_values(row) for row in rows]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(_UPSERT, values)
            connection.execute(_FOLLOWED, (followed,))

        await self._database.write(write)

    async def followed(self) -> int:
        def read(connection: sqlite3.Connection) -> int:
            found = connection.execute("SELECT sequence FROM followed").fetchone()
            return int(found[0]) if found else 0

        return await self._database.read(read)

    async def idle_since(self, moment: datetime, *, limit: int) -> list[Row]:
        def read(connection: sqlite3.Connection) -> list[Row]:
            return [_row(found) for found in connection.execute(_IDLE, (_micros(moment), limit))]

        return await self._database.read(read)

    async def page(
        self, tenant: str, where: Mapping[str, str], *, before: int | None, limit: int
    ) -> list[tuple[int, RunRow]]:
        values = {
            "tenant": tenant,
            "before": _NEWEST if before is None else before,
            "limit": limit,
            **{name: where.get(name) for name in ("status", "agent", "session_id")},
        }

        def read(connection: sqlite3.Connection) -> list[tuple[int, RunRow]]:
            return [
                (found["accepted_sequence"], RunRow.FromString(found["row"]))
                for found in connection.execute(_PAGE, values)
            ]

        return await self._database.read(read)


def _values(row: Row) -> tuple[str | int | bytes, ...]:
    shown = row.row
    return (
        row.tenant,
        shown.run_id,
        row.last_sequence,
        row.accepted_sequence,
        _micros(row.updated),
        row.work_class,
        shown.status,
        shown.agent,
        shown.session_id,
        shown.SerializeToString(),
    )


def _row(found: sqlite3.Row) -> Row:
    return Row(
        tenant=found["tenant"],
        last_sequence=found["last_sequence"],
        accepted_sequence=found["accepted_sequence"],
        updated=datetime.fromtimestamp(found["updated_us"] / 1e6, UTC),
        work_class=found["work_class"],
        row=RunRow.FromString(found["row"]),
    )


def _micros(time: datetime) -> int:
    return int(time.timestamp() * 1_000_000)
