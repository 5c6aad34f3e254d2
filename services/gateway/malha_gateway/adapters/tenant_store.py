"""The gateway's SQLite file: who pays for which tenant, and what was told of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from malha.api.common.v1.principal_pb2 import Tier
from malha.sqlite import Database
from malha_gateway.ports import Payer, Taken
from malha_gateway.subscriptions import UNPAID, Event, Paid, Standing

_KEEP = (
    "INSERT OR IGNORE INTO stripe_event (event_id, customer, subscription, created, standing, prices)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
_EVENTS = (
    "SELECT event_id, customer, subscription, created, standing, prices FROM stripe_event WHERE customer = ?"
)
_LINK = "INSERT INTO tenant (tenant, stripe_customer, tier, lapse_time) VALUES (?, ?, 0, NULL)"
_LINK_IF_FREE = _LINK.replace("INSERT", "INSERT OR IGNORE")
_BY_CUSTOMER = "SELECT tenant, stripe_customer, tier, lapse_time FROM tenant WHERE stripe_customer = ?"
_BY_TENANT = "SELECT tenant, stripe_customer, tier, lapse_time FROM tenant WHERE tenant = ?"
_GIVE = "UPDATE tenant SET tier = ?, lapse_time = ? WHERE tenant = ?"

Judge = Callable[[Sequence[Event]], Paid]


class SqliteTenantStore:
    """Implements :class:`malha_gateway.ports.TenantStore` in the tables ``stripe_event`` and ``tenant``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, event: Event, judge: Judge) -> Taken:
        def work(connection: sqlite3.Connection) -> Taken:
            row = *event[:4], int(event.standing), json.dumps(event.prices)
            repeated = connection.execute(_KEEP, row).rowcount == 0
            if event.tenant and not repeated:
                connection.execute(_LINK_IF_FREE, (event.tenant, event.customer))
            linked = connection.execute(_BY_CUSTOMER, (event.customer,)).fetchone()
            if linked is None:
                return Taken("", UNPAID, changed=False, repeated=repeated)
            now = _given(connection, linked["tenant"], event.customer, judge)
            changed = now != _payer(linked).paid
            return Taken(linked["tenant"], now, changed=changed, repeated=repeated)

        return await self._database.write(work)

    async def link(self, tenant: str, customer: str, judge: Judge) -> Payer:
        def work(connection: sqlite3.Connection) -> Payer:
            connection.execute(
                "DELETE FROM tenant WHERE tenant = ? OR stripe_customer = ?", (tenant, customer)
            )
            if not customer:
                return _payer(None)
            connection.execute(_LINK, (tenant, customer))
            return Payer(customer, _given(connection, tenant, customer, judge))

        return await self._database.write(work)

    async def payer(self, tenant: str) -> Payer:
        return await self._database.read(
            lambda connection: _payer(connection.execute(_BY_TENANT, (tenant,)).fetchone())
        )


def _given(connection: sqlite3.Connection, tenant: str, customer: str, judge: Judge) -> Paid:
    """Judge all that was told of the customer, and give the tenant what comes of it."""
    now = judge([_event(row) for row in connection.execute(_EVENTS, (customer,))])
    lapse_time = now.lapses_at.timestamp() if now.lapses_at else None
    connection.execute(_GIVE, (now.tier, lapse_time, tenant))
    return now


def _event(row: sqlite3.Row) -> Event:
    standing, prices = Standing(row["standing"]), tuple(json.loads(row["prices"]))
    return Event(row["event_id"], row["customer"], row["subscription"], row["created"], standing, prices)


def _payer(row: sqlite3.Row | None) -> Payer:
    if row is None:
        return Payer("", UNPAID)
    return Payer(row["stripe_customer"], paid_of(row["tier"], row["lapse_time"]))


def paid_of(tier: Tier, lapse_time: float | None) -> Paid:
    """What a row of ``tenant`` says."""
    return Paid(tier, datetime.fromtimestamp(lapse_time, UTC) if lapse_time is not None else None)
