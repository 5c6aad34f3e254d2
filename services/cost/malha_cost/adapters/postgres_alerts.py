"""Alerts, and the sums behind some of them, in the ledger's PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import asyncpg

from malha.api.event.v1.alert_pb2 import Alert
from malha_cost.adapters.postgres_reach import reached
from malha_cost.alerts import organisation_of
from malha_cost.spending import DAYS, HOURS_KEPT, RUNS, Batch, Findings, Hour, RunSum, Spent

_Connection: TypeAlias = Any
"""The driver has no types."""
_STORE = """
    INSERT INTO alerts (tenant, id, at_us, organisation, body)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bytea[])
    ON CONFLICT (tenant, id) DO NOTHING RETURNING tenant, id
"""
_UNTOLD = "SELECT body FROM alerts WHERE told_us IS NULL AND tenant <> '' ORDER BY at_us LIMIT $1"
_TOLD = """
    UPDATE alerts a SET told_us = $1 FROM unnest($2::text[], $3::text[]) AS said (tenant, id)
    WHERE a.tenant = said.tenant AND a.id = said.id AND a.told_us IS NULL
"""
_LATEST = """
    SELECT at_us, body FROM alerts WHERE tenant = $1 AND organisation = $2 ORDER BY at_us DESC LIMIT $3
"""
_SPENT = f"SELECT {', '.join(Spent._fields)} FROM entries WHERE spent <> 0 AND at_us"  # noqa: S608  # names from our own class
_BETWEEN = f"{_SPENT} > $1 AND at_us <= $2 ORDER BY at_us LIMIT $3"
_AT = f"{_SPENT} = $1"
_HOURS = "SELECT hour, spent FROM hourly_spending WHERE tenant = $1 AND agent = $2 AND hour BETWEEN $3 AND $4"
_THEIRS = "SELECT run_id, spent, calls, last_us FROM run_spending WHERE tenant = $1 AND agent = $2"
_RUNS = f"{_THEIRS} ORDER BY last_us DESC LIMIT $3"
_NAMED = f"{_THEIRS} AND run_id = ANY($3::text[])"
_BEFORE = "SELECT at_us FROM watched"
_BEGIN = "INSERT INTO watched VALUES (1, $1) ON CONFLICT (one) DO NOTHING"
_GO_ON = "UPDATE watched SET at_us = $1 WHERE at_us = $2"
_ADD_HOURS = """
    INSERT INTO hourly_spending AS h SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
    ON CONFLICT (tenant, agent, hour) DO UPDATE SET spent = h.spent + excluded.spent
"""
_ADD_RUNS = """
    INSERT INTO run_spending AS r
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
    ON CONFLICT (tenant, agent, run_id) DO UPDATE SET spent = r.spent + excluded.spent,
      calls = r.calls + excluded.calls, last_us = greatest(r.last_us, excluded.last_us)
"""
_FORGET_HOURS = """
    DELETE FROM hourly_spending h
    USING unnest($1::text[], $2::text[], $3::bigint[]) AS said (tenant, agent, hour)
    WHERE h.tenant = said.tenant AND h.agent = said.agent AND h.hour < said.hour
"""
_FORGET_RUNS = """
    DELETE FROM run_spending WHERE tenant = $1 AND agent = $2 AND last_us < $4 AND last_us < (
      SELECT last_us FROM run_spending WHERE tenant = $1 AND agent = $2
      ORDER BY last_us DESC LIMIT 1 OFFSET $3
    )
"""
_FORGET_ALL_HOURS = "DELETE FROM hourly_spending WHERE hour < $1"
_FORGET_ALL_RUNS = "DELETE FROM run_spending WHERE last_us < $1"


async def store(connection: _Connection, alerts: Sequence[Alert]) -> set[tuple[str, str]]:
    """Keep alerts that are not there yet; which those are, by tenant and id."""
    if not alerts:
        return set()
    rows = [
        (one.tenant, one.id, one.time.ToMicroseconds(), organisation_of(one), one.SerializeToString())
        for one in alerts
    ]
    rows.sort()  # in one order, so that nobody waits in a circle
    stored = await connection.fetch(_STORE, *map(list, zip(*rows, strict=True)))
    return {tuple(row) for row in stored}


class PostgresAlerts:
    """Implements :class:`malha_cost.ports.AlertBook` and :class:`malha_cost.ports.Spending`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def untold(self, limit: int) -> list[Alert]:
        async with reached(self._pool) as connection:
            return [Alert.FromString(row[0]) for row in await connection.fetch(_UNTOLD, limit)]

    async def told(self, alerts: Sequence[tuple[str, str]], now: datetime) -> None:
        tenants, ids = [tenant for tenant, _ in alerts], [id_ for _, id_ in alerts]
        async with reached(self._pool) as connection:
            await connection.execute(_TOLD, int(now.timestamp() * 1_000_000), tenants, ids)

    async def latest(self, tenant: str, organisation: str, limit: int) -> list[Alert]:
        async with reached(self._pool) as connection:
            rows = await connection.fetch(_LATEST, tenant, "", limit)
            if organisation:
                rows += await connection.fetch(_LATEST, "", organisation, limit)
        rows.sort(key=lambda row: -row[0])
        return [Alert.FromString(row[1]) for row in rows[:limit]]

    async def spent(self, until: datetime, *, limit: int) -> Batch:
        until_us = int(until.timestamp() * 1_000_000)
        first_us = int((until - timedelta(days=DAYS)).timestamp() * 1_000_000)
        async with reached(self._pool) as connection:
            before = await connection.fetchval(_BEFORE)
            begin = first_us if before is None else before
            rows = await connection.fetch(_BETWEEN, begin, until_us, limit + 1)
            if len(rows) > limit:  # cut where the time changes
                last = rows[-1][0]
                whole = [row for row in rows if row[0] < last]
                rows = whole or await connection.fetch(_AT, last)
        return Batch(before, [Spent(*row) for row in rows])

    async def hours(self, place: Hour, hours: int) -> dict[int, int]:
        values = place.tenant, place.agent, place.hour - hours, place.hour
        async with reached(self._pool) as connection:
            return {row[0]: row[1] for row in await connection.fetch(_HOURS, *values)}

    async def runs(self, tenant: str, agent: str, named: Collection[str]) -> dict[str, RunSum]:
        async with reached(self._pool) as connection:
            rows = await connection.fetch(_RUNS, tenant, agent, RUNS)
            rows += await connection.fetch(_NAMED, tenant, agent, list(named))
        return {row[0]: RunSum(row[1], row[2], row[3]) for row in rows}

    async def follow(self, findings: Findings) -> list[Alert] | None:
        async with reached(self._pool) as connection, connection.transaction():
            if findings.before_us is None:
                moved = await connection.execute(_BEGIN, findings.after_us)
            else:
                moved = await connection.execute(_GO_ON, findings.after_us, findings.before_us)
            if moved.endswith(" 0"):
                return None
            hours = [(*place, spent) for place, spent in findings.hours.items()]
            runs = [(*run, *sums) for run, sums in findings.runs.items()]
            await connection.execute(_ADD_HOURS, *map(list, zip(*hours, strict=True)))
            await connection.execute(_ADD_RUNS, *map(list, zip(*runs, strict=True)))
            old = [(tenant, agent, hour - HOURS_KEPT) for tenant, agent, hour in findings.hours]
            await connection.execute(_FORGET_HOURS, *map(list, zip(*old, strict=True)))
            for tenant, agent in {run[:2] for run in findings.runs}:
                await connection.execute(_FORGET_RUNS, tenant, agent, RUNS, findings.going_on_us)
            if findings.forgotten:
                hour, run_us = findings.forgotten
                await connection.execute(_FORGET_ALL_HOURS, hour)
                await connection.execute(_FORGET_ALL_RUNS, run_us)
            stored = await store(connection, findings.alerts)
        return [alert for alert in findings.alerts if (alert.tenant, alert.id) in stored]
