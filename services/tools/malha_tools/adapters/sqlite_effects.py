"""Effect records in SQLite: one writer decides the order, and an answer means that it is on disk."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from malha.api.run.v1.record_pb2 import Effect as EffectKind
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.clock import Clock
from malha.errors import unavailable
from malha.scouring import scour
from malha.sqlite import Database, Work
from malha.telemetry import log
from malha_tools.ports import Effect, Fate
from malha_tools.refusals import conflict, tombstoned, unknown

T = TypeVar("T")
_MIGRATIONS = Path(__file__).parent.parent / "migrations"
_OF_RUN = "FROM effects WHERE tenant = ? AND key >= ? AND key < ?"


class SqliteEffectRecords:
    """See :class:`malha_tools.ports.EffectRecords`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    @staticmethod
    async def open(path: Path) -> Database:
        """The database of the records, each commit synced to disk."""
        return await Database.open(path, _MIGRATIONS, durable=True)

    async def begin(self, effect: Effect) -> ToolResult | None:
        now = self._now()

        def work(connection: sqlite3.Connection) -> ToolResult | None:
            if _erased(connection, effect.tenant, effect.key):
                raise tombstoned()
            inserted = connection.execute(
                "INSERT INTO effects (tenant, key, state, tool, kind, arguments_hash, begun_at)"
                " VALUES (?, ?, 'begun', ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (effect.tenant, effect.key, effect.tool, effect.kind, effect.arguments_hash, now),
            )
            if inserted.rowcount:
                return None
            return _standing(connection, effect)

        return await self._write(work, durable=_matters(effect))

    async def recall(self, effect: Effect) -> ToolResult | None:
        def work(connection: sqlite3.Connection) -> ToolResult | None:
            if _erased(connection, effect.tenant, effect.key):
                raise tombstoned()
            return _standing(connection, effect)

        with _told():
            return await self._database.read(work)

    async def finish(self, effect: Effect, result: ToolResult) -> ToolResult:
        now = self._now()
        stored = result.SerializeToString()

        def work(connection: sqlite3.Connection) -> ToolResult:
            if _erased(connection, effect.tenant, effect.key):
                raise tombstoned()
            upserted = connection.execute(
                "INSERT INTO effects (tenant, key, state, tool, kind, arguments_hash, result, ended_at)"
                " VALUES (?, ?, 'done', ?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE"
                " SET state = 'done', result = excluded.result, ended_at = excluded.ended_at"
                " WHERE state = 'begun' AND arguments_hash = excluded.arguments_hash",
                (effect.tenant, effect.key, effect.tool, effect.kind, effect.arguments_hash, stored, now),
            )
            if upserted.rowcount:
                return result
            return _standing(connection, effect) or result

        return await self._write(work, durable=_matters(effect))

    async def resolve(self, tenant: str, key: str) -> ToolResult | Fate:
        now = self._now()

        def work(connection: sqlite3.Connection) -> ToolResult | Fate:
            if _erased(connection, tenant, key):
                return Fate.TOMBSTONED
            connection.execute(
                "INSERT INTO effects (tenant, key, state, ended_at) VALUES (?, ?, 'tombstoned', ?)"
                " ON CONFLICT DO UPDATE SET state = 'tombstoned', ended_at = excluded.ended_at"
                " WHERE state = 'begun' AND kind <> ?",
                (tenant, key, now, EffectKind.EFFECT_ONCE),
            )
            row = connection.execute(
                "SELECT state, result FROM effects WHERE tenant = ? AND key = ?", (tenant, key)
            ).fetchone()
            if row["state"] == "tombstoned":
                return Fate.TOMBSTONED
            return _result(row) or Fate.UNKNOWN

        return await self._write(work)

    async def erase(self, tenant: str, run_id: str) -> None:
        prefix = f"{tenant}/{run_id}/"

        of_run = (tenant, prefix, prefix[:-1] + "0")  # "0" follows "/"

        def work(connection: sqlite3.Connection) -> None:
            keys = connection.execute(f"SELECT key {_OF_RUN}", of_run).fetchall()
            hashes = [(_hash(tenant, row["key"]),) for row in keys]
            connection.executemany("INSERT INTO erased VALUES (?) ON CONFLICT DO NOTHING", hashes)
            connection.execute(f"DELETE {_OF_RUN}", of_run)

        await self._write(work)
        try:
            await scour(self._database.path, [run_id.encode()])
        except (sqlite3.Error, subprocess.SubprocessError) as error:
            log.error("effect_records_not_scoured", exc_info=error)
            raise unavailable("tools") from None

    async def _write(self, work: Work[T], *, durable: bool = True) -> T:
        with _told():
            return await self._database.write(work, durable=durable)

    def _now(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


@contextmanager
def _told() -> Iterator[None]:
    """A database that fails is told as unavailable; the rest is for the log."""
    try:
        yield
    except sqlite3.Error as error:
        log.error("effect_records_failed", exc_info=error)
        raise unavailable("tools") from None


def _matters(effect: Effect) -> bool:
    """Whether a record of the call must survive a power cut: what only reads may be done again."""
    return effect.kind != EffectKind.EFFECT_READ


def _standing(connection: sqlite3.Connection, effect: Effect) -> ToolResult | None:
    """What stands in the way of ``effect``: its own result, or one of the errors of ``begin``."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT state, kind, arguments_hash, result FROM effects WHERE tenant = ? AND key = ?",
        (effect.tenant, effect.key),
    ).fetchone()
    if row is None:
        return None
    if row["state"] == "tombstoned":
        raise tombstoned()
    if row["arguments_hash"] != effect.arguments_hash:
        raise conflict()
    if row["state"] == "begun" and row["kind"] == EffectKind.EFFECT_ONCE:
        raise unknown(effect.tool)
    return _result(row)


def _result(row: sqlite3.Row) -> ToolResult | None:
    return None if row["result"] is None else ToolResult.FromString(row["result"])


def _erased(connection: sqlite3.Connection, tenant: str, key: str) -> bool:
    """Whether the key is one of a run that was erased: closed for ever."""
    found = connection.execute("SELECT 1 FROM erased WHERE hash = ?", (_hash(tenant, key),)).fetchone()
    return found is not None


def _hash(tenant: str, key: str) -> bytes:
    return hashlib.sha256(f"{tenant}\0{key}".encode()).digest()
