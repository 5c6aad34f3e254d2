"""The runs table in SQLite. It can be lost: the journal tells it again."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from malha.api.planner.v1.planner_service_pb2 import RunRow
from malha.run import erased_id
from malha.sqlite import Database
from malha_planner.adapters.run_pages import page_query
from malha_planner.ports import Due, Row

MIGRATIONS = Path(__file__).parent.parent / "migrations"

_UPSERT = """
INSERT INTO runs (tenant, run_id, last_sequence, accepted_sequence, updated_us,
                  work_class, status, agent, session_id, row, due_us, key_id)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12
WHERE NOT EXISTS (SELECT 1 FROM erased WHERE name = ?13 AND through >= ?3)
ON CONFLICT (tenant, run_id) DO UPDATE SET
    accepted_sequence = excluded.accepted_sequence, last_sequence = excluded.last_sequence,
    updated_us = excluded.updated_us, status = excluded.status, row = excluded.row,
    due_us = excluded.due_us, reminders = 0
WHERE runs.last_sequence < excluded.last_sequence
"""
_FOLLOWED = """
INSERT INTO followed (one, sequence) VALUES (1, ?)
ON CONFLICT (one) DO UPDATE SET sequence = max(sequence, excluded.sequence)
"""
_DUE = """
SELECT tenant, run_id, work_class, last_sequence, reminders FROM runs
WHERE status IN ('QUEUED', 'RUNNING', 'WAITING') AND due_us <= ? ORDER BY due_us LIMIT ?
"""
_REMINDED = """
UPDATE runs SET due_us = ?, reminders = reminders + 1 WHERE tenant = ? AND run_id = ? AND last_sequence = ?
"""
_ARCHIVABLE = """
SELECT tenant, run_id FROM runs
WHERE archived = 0 AND status IN ('SUCCEEDED', 'FAILED', 'CANCELLED')
  AND updated_us <= ? AND last_sequence <= ?
ORDER BY updated_us LIMIT ?
"""
_ARCHIVED = "UPDATE runs SET archived = 1 WHERE tenant = ? AND run_id = ? AND last_sequence <= ?"
_ERASED = """
INSERT INTO erased (name, through) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET through = max(through, excluded.through)
"""
_REMOVE = "DELETE FROM runs WHERE tenant = ? AND run_id = ? AND last_sequence <= ?"
_DEAD = """
SELECT accepted_sequence, tenant, row FROM runs
WHERE status = 'DEAD' AND accepted_sequence < :before AND (:tenant = '' OR tenant = :tenant)
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

    async def due(self, moment: datetime, *, limit: int) -> list[Due]:
        def read(connection: sqlite3.Connection) -> list[Due]:
            return [Due(*found) for found in connection.execute(_DUE, (_micros(moment), limit))]

        return await self._database.read(read)

    async def reminded(self, runs: Sequence[tuple[Due, datetime]]) -> None:
        values = [(_micros(again), run.tenant, run.run_id, run.last_sequence) for run, again in runs]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(_REMINDED, values)

        await self._database.write(write)

    async def archivable(self, moment: datetime, *, told: int, limit: int) -> list[tuple[str, str]]:
        def read(connection: sqlite3.Connection) -> list[tuple[str, str]]:
            return [tuple(found) for found in connection.execute(_ARCHIVABLE, (_micros(moment), told, limit))]

        return await self._database.read(read)

    async def archived(self, tenant: str, run_id: str, *, through: int) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.execute(_ARCHIVED, (tenant, run_id, through))

        await self._database.write(write)

    async def remove(self, tenant: str, run_id: str, *, through: int) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.execute(_ERASED, (erased_id(tenant, run_id), through))
            connection.execute(_REMOVE, (tenant, run_id, through))

        await self._database.write(write)

    async def page(
        self, tenant: str, where: Mapping[str, str], *, before: int | None, limit: int
    ) -> list[tuple[int, RunRow]]:
        values = {
            "tenant": tenant,
            "before": _NEWEST if before is None else before,
            "limit": limit,
            **where,
        }
        query = page_query(where)

        def read(connection: sqlite3.Connection) -> list[tuple[int, RunRow]]:
            return [
                (found["accepted_sequence"], RunRow.FromString(found["row"]))
                for found in connection.execute(query, values)
            ]

        return await self._database.read(read)

    async def dead(self, tenant: str, *, before: int | None, limit: int) -> list[tuple[int, str, RunRow]]:
        values = {"tenant": tenant, "before": _NEWEST if before is None else before, "limit": limit}

        def read(connection: sqlite3.Connection) -> list[tuple[int, str, RunRow]]:
            return [
                (found["accepted_sequence"], found["tenant"], RunRow.FromString(found["row"]))
                for found in connection.execute(_DEAD, values)
            ]

        return await self._database.read(read)


def _values(row: Row) -> tuple[str | int | bytes | None, ...]:
    shown = row.row
    return (
        row.tenant,
        shown.run_id,
        row.last_sequence,
        row.accepted_sequence,
        _micros(row.updated),
        row.lane,
        shown.status,
        shown.agent,
        shown.session_id,
        shown.SerializeToString(),
        _micros(row.due) if row.due is not None else None,
        shown.key_id,
        erased_id(row.tenant, shown.run_id),
    )


def _micros(time: datetime) -> int:
    return int(time.timestamp() * 1_000_000)
