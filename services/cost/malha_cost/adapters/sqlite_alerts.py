"""Alerts, and the sums behind some of them, in the ledger's SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from malha.api.event.v1.alert_pb2 import Alert
from malha.sqlite import Database
from malha_cost.alerts import organisation_of
from malha_cost.spending import DAYS, HOURS_KEPT, RUNS, Batch, Findings, Hour, RunSum, Spent

_STORE = (
    "INSERT OR IGNORE INTO alerts (tenant, id, at_us, organisation, body, told_us)"
    " VALUES (?, ?, ?, ?, ?, NULL)"
)
_UNTOLD = "SELECT body FROM alerts WHERE told_us IS NULL AND tenant <> '' ORDER BY at_us LIMIT ?"
_TOLD = "UPDATE alerts SET told_us = ? WHERE tenant = ? AND id = ? AND told_us IS NULL"
_LATEST = "SELECT at_us, body FROM alerts WHERE tenant = ? AND organisation = ? ORDER BY at_us DESC LIMIT ?"
_SPENT = f"SELECT {', '.join(Spent._fields)} FROM entries WHERE spent <> 0 AND at_us"  # noqa: S608  # names from our own class
_BETWEEN = f"{_SPENT} > ? AND at_us <= ? ORDER BY at_us LIMIT ?"
_AT = f"{_SPENT} = ?"
_HOURS = "SELECT hour, spent FROM hourly_spending WHERE tenant = ? AND agent = ? AND hour BETWEEN ? AND ?"
_THEIRS = "SELECT run_id, spent, calls, last_us FROM run_spending WHERE tenant = ? AND agent = ?"
_RUNS = f"{_THEIRS} ORDER BY last_us DESC LIMIT ?"
_NAMED = f"{_THEIRS} AND run_id IN (SELECT value FROM json_each(?))"  # noqa: S608  # constants
_ADD_HOUR = (
    "INSERT INTO hourly_spending VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET spent = spent + excluded.spent"
)
_ADD_RUN = (
    "INSERT INTO run_spending VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET spent = spent + excluded.spent, calls = calls + excluded.calls,"
    " last_us = max(last_us, excluded.last_us)"
)
_FORGET_HOURS = "DELETE FROM hourly_spending WHERE tenant = ? AND agent = ? AND hour < ?"
_FORGET_RUNS = (
    "DELETE FROM run_spending WHERE tenant = ? AND agent = ? AND last_us < ? AND last_us <"
    " (SELECT last_us FROM run_spending WHERE tenant = ? AND agent = ?"
    "  ORDER BY last_us DESC LIMIT 1 OFFSET ?)"
)
_FORGET_ALL_HOURS = "DELETE FROM hourly_spending WHERE hour < ?"
_FORGET_ALL_RUNS = "DELETE FROM run_spending WHERE last_us < ?"


def store(connection: sqlite3.Connection, alerts: Iterable[Alert]) -> list[Alert]:
    """Keep alerts that are not there yet; which those are."""
    new = []
    for alert in alerts:
        values = alert.tenant, alert.id, alert.time.ToMicroseconds(), organisation_of(alert)
        if connection.execute(_STORE, (*values, alert.SerializeToString())).rowcount:
            new.append(alert)
    return new


class SqliteAlerts:
    """Implements :class:`malha_cost.ports.AlertBook` and :class:`malha_cost.ports.Spending`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def untold(self, limit: int) -> list[Alert]:
        def work(connection: sqlite3.Connection) -> list[Alert]:
            return [Alert.FromString(row[0]) for row in connection.execute(_UNTOLD, (limit,))]

        return await self._database.read(work)

    async def told(self, alerts: Sequence[tuple[str, str]], now: datetime) -> None:
        now_us = int(now.timestamp() * 1_000_000)

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(_TOLD, [(now_us, *name) for name in alerts])

        await self._database.write(work)

    async def latest(self, tenant: str, organisation: str, limit: int) -> list[Alert]:
        def work(connection: sqlite3.Connection) -> list[Alert]:
            rows = connection.execute(_LATEST, (tenant, "", limit)).fetchall()
            if organisation:
                rows += connection.execute(_LATEST, ("", organisation, limit)).fetchall()
            rows.sort(key=lambda row: -row[0])
            return [Alert.FromString(row[1]) for row in rows[:limit]]

        return await self._database.read(work)

    async def spent(self, until: datetime, *, limit: int) -> Batch:
        until_us = int(until.timestamp() * 1_000_000)
        first_us = int((until - timedelta(days=DAYS)).timestamp() * 1_000_000)

        def work(connection: sqlite3.Connection) -> Batch:
            before = _before(connection)
            values = (first_us if before is None else before, until_us, limit + 1)
            rows = connection.execute(_BETWEEN, values).fetchall()
            if len(rows) > limit:  # cut where the time changes
                last = rows[-1][0]
                whole = [row for row in rows if row[0] < last]
                rows = whole or connection.execute(_AT, (last,)).fetchall()
            return Batch(before, [Spent(*row) for row in rows])

        return await self._database.read(work)

    async def hours(self, place: Hour, hours: int) -> dict[int, int]:
        def work(connection: sqlite3.Connection) -> dict[int, int]:
            values = place.tenant, place.agent, place.hour - hours, place.hour
            return dict(map(tuple, connection.execute(_HOURS, values)))

        return await self._database.read(work)

    async def runs(self, tenant: str, agent: str, named: Collection[str]) -> dict[str, RunSum]:
        def work(connection: sqlite3.Connection) -> dict[str, RunSum]:
            rows = connection.execute(_RUNS, (tenant, agent, RUNS)).fetchall()
            rows += connection.execute(_NAMED, (tenant, agent, json.dumps(list(named)))).fetchall()
            return {row[0]: RunSum(*row[1:]) for row in map(tuple, rows)}

        return await self._database.read(work)

    async def follow(self, findings: Findings) -> list[Alert] | None:
        def work(connection: sqlite3.Connection) -> list[Alert] | None:
            if _before(connection) != findings.before_us:
                return None
            connection.execute("INSERT OR REPLACE INTO watched VALUES (1, ?)", (findings.after_us,))
            connection.executemany(_ADD_HOUR, [(*place, spent) for place, spent in findings.hours.items()])
            connection.executemany(_ADD_RUN, [(*run, *sums) for run, sums in findings.runs.items()])
            for tenant, agent, hour in findings.hours:
                connection.execute(_FORGET_HOURS, (tenant, agent, hour - HOURS_KEPT))
            for tenant, agent in {run[:2] for run in findings.runs}:
                values = tenant, agent, findings.going_on_us, tenant, agent, RUNS
                connection.execute(_FORGET_RUNS, values)
            if findings.forgotten:
                hour, run_us = findings.forgotten
                connection.execute(_FORGET_ALL_HOURS, (hour,))
                connection.execute(_FORGET_ALL_RUNS, (run_us,))
            return store(connection, findings.alerts)

        return await self._database.write(work, durable=bool(findings.alerts))


def _before(connection: sqlite3.Connection) -> int | None:
    row = connection.execute("SELECT at_us FROM watched").fetchone()
    return None if row is None else int(row[0])
