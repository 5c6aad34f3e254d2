"""The gateway's SQLite file: webhooks, and what is still to be delivered."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime

from malha.api.gateway.v1.webhook_service_pb2 import Webhook
from malha.api.run.v1.record_pb2 import Sealed
from malha.sqlite import Database
from malha_gateway.webhook_endpoint import Due, Endpoint, Heard, Outcome, wants

_COLUMNS = "webhook_id, tenant, url, event_types, secret, create_us, disabled_reason, last_outcome, failures"
_ADD = (
    "INSERT INTO webhook (webhook_id, tenant, url, event_types, secret, create_us, after_sequence)"
    " SELECT ?, ?, ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM webhook WHERE tenant = ?) < ?"
)
_OF = (
    f"SELECT {_COLUMNS}, (SELECT count(*) FROM delivery d WHERE d.webhook_id = webhook.webhook_id)"  # noqa: S608  # a constant
    " FROM webhook WHERE tenant = ? ORDER BY webhook_id"
)
_FIND = f"SELECT {_COLUMNS} FROM webhook WHERE webhook_id = ?"  # noqa: S608  # a constant
_WELL = "failures = 0, failing_since_us = NULL, retry_us = 0"
_HOLD = "UPDATE delivering SET holder = ?, until_us = ? WHERE holder = ? OR until_us < ? RETURNING sequence"
_KEEP = "INSERT OR IGNORE INTO delivery (webhook_id, sequence, first_us, due_us) VALUES (?, ?, ?, ?)"
_WAITING = "SELECT count(*) FROM delivery WHERE webhook_id = ?"
_ENABLED = "SELECT webhook_id, tenant, event_types, after_sequence FROM webhook WHERE disabled_reason = ''"
_READY = (
    f"SELECT {_COLUMNS} FROM webhook w WHERE disabled_reason = '' AND retry_us <= ? AND EXISTS"  # noqa: S608  # a constant
    " (SELECT 1 FROM delivery d WHERE d.webhook_id = w.webhook_id AND d.due_us <= ?)"
)
_DUE = (
    "SELECT webhook_id, sequence, attempts, first_us FROM delivery"
    " WHERE webhook_id = ? AND due_us <= ? ORDER BY due_us LIMIT ?"
)
_DONE = "DELETE FROM delivery WHERE webhook_id = ? AND sequence = ?"
_AGAIN = "UPDATE delivery SET attempts = attempts + 1, due_us = ? WHERE webhook_id = ? AND sequence = ?"
_FAILED = (
    "UPDATE webhook SET last_outcome = ?, failures = failures + 1,"
    " failing_since_us = coalesce(failing_since_us, ?), retry_us = ? WHERE webhook_id = ?"
    " RETURNING failing_since_us"
)


class SqliteWebhooks:
    """`malha_gateway.ports.WebhookStore` in the tables ``webhook``, ``delivery`` and ``delivering``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, endpoint: Endpoint, *, after: int, most: int) -> bool:
        webhook = endpoint.webhook
        values = (
            *(webhook.webhook_id, endpoint.tenant, webhook.url, " ".join(webhook.event_types)),
            *(endpoint.secret.SerializeToString(), webhook.create_time.ToMicroseconds(), after),
            *(endpoint.tenant, most),
        )
        return await self._database.write(lambda connection: connection.execute(_ADD, values).rowcount == 1)

    async def of(self, tenant: str) -> Sequence[Webhook]:
        def work(connection: sqlite3.Connection) -> list[Webhook]:
            found = []
            for row in connection.execute(_OF, (tenant,)):
                webhook = _endpoint(row).webhook
                webhook.waiting = row[-1]
                found.append(webhook)
            return found

        return await self._database.read(work)

    async def find(self, webhook_id: str) -> Endpoint | None:
        def work(connection: sqlite3.Connection) -> Endpoint | None:
            row = connection.execute(_FIND, (webhook_id,)).fetchone()
            return None if row is None else _endpoint(row)

        return await self._database.read(work)

    async def remove(self, tenant: str, webhook_id: str) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            gone = connection.execute(
                "DELETE FROM webhook WHERE tenant = ? AND webhook_id = ?", (tenant, webhook_id)
            )
            if gone.rowcount:
                connection.execute("DELETE FROM delivery WHERE webhook_id = ?", (webhook_id,))
            return gone.rowcount == 1

        return await self._database.write(work)

    async def tested(self, webhook_id: str, outcome: Outcome) -> None:
        well = f", disabled_reason = '', {_WELL}" if outcome.delivered else ""
        statement = f"UPDATE webhook SET last_outcome = ?{well} WHERE webhook_id = ?"  # noqa: S608  # a constant
        await self._database.write(
            lambda connection: connection.execute(statement, (outcome.text, webhook_id))
        )

    async def hold(self, holder: str, now: datetime, until: datetime) -> int | None:
        def first(connection: sqlite3.Connection) -> int | None:
            place: int | None = connection.execute("SELECT min(after_sequence) FROM webhook").fetchone()[0]
            return place

        def work(connection: sqlite3.Connection) -> int | None:
            row = connection.execute(_HOLD, (holder, _us(until), holder, _us(now))).fetchone()
            return None if row is None else int(row[0])

        first_place = await self._database.read(first)
        if first_place is None:
            return None
        place = await self._database.write(work, durable=False)
        return None if place is None else max(place, first_place)

    async def let_go(self, holder: str) -> None:
        await self._database.write(
            lambda connection: connection.execute(
                "UPDATE delivering SET holder = '', until_us = 0 WHERE holder = ?", (holder,)
            ),
            durable=False,
        )

    async def fan_out(
        self, holder: str, heard: Sequence[Heard], *, before: int, now: datetime, most: int
    ) -> int | None:
        def work(connection: sqlite3.Connection) -> int | None:
            moved = connection.execute(
                "UPDATE delivering SET sequence = ? WHERE holder = ? AND sequence <= ?",
                (heard[-1].sequence, holder, before),
            )
            if not moved.rowcount:
                return None
            endpoints: dict[str, list[tuple[str, list[str], int]]] = {}
            for name, tenant, types, after in connection.execute(_ENABLED):
                endpoints.setdefault(tenant, []).append((name, types.split(), after))
            room: dict[str, int] = {}  # counted once: thousands may wait, and a batch has hundreds
            dropped = 0
            for event in heard:
                for name, types, after in endpoints.get(event.tenant, ()):
                    if event.sequence <= after or not wants(types, event.type):
                        continue
                    if name not in room:
                        room[name] = most - connection.execute(_WAITING, (name,)).fetchone()[0]
                    if room[name] > 0:
                        values = name, event.sequence, _us(now), _us(now)
                        room[name] -= connection.execute(_KEEP, values).rowcount
                    else:
                        dropped += 1
            return dropped

        return await self._database.write(work)

    async def ready(self, now: datetime) -> Sequence[Endpoint]:
        values = _us(now), _us(now)
        return await self._database.read(
            lambda connection: [_endpoint(row) for row in connection.execute(_READY, values)]
        )

    async def due(self, webhook_id: str, now: datetime, *, limit: int) -> Sequence[Due]:
        values = webhook_id, _us(now), limit
        return await self._database.read(
            lambda connection: [Due(*row) for row in connection.execute(_DUE, values)]
        )

    async def delivered(self, due: Due, outcome: Outcome) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_DONE, (due.webhook_id, due.sequence))
            connection.execute(
                f"UPDATE webhook SET last_outcome = ?, {_WELL} WHERE webhook_id = ?",  # noqa: S608  # a constant
                (outcome.text, due.webhook_id),
            )

        await self._database.write(work)

    async def dropped(self, due: Due) -> None:
        await self._database.write(
            lambda connection: connection.execute(_DONE, (due.webhook_id, due.sequence))
        )

    async def failed(
        self, due: Due, outcome: Outcome, now: datetime, *, again: datetime, rest: datetime
    ) -> datetime:
        def work(connection: sqlite3.Connection) -> datetime:
            connection.execute(_AGAIN, (_us(again), due.webhook_id, due.sequence))
            values = outcome.text, _us(now), _us(rest), due.webhook_id
            row = connection.execute(_FAILED, values).fetchone()
            return now if row is None else datetime.fromtimestamp(row[0] / 1_000_000, UTC)  # None: removed

        return await self._database.write(work, durable=False)

    async def disable(self, webhook_id: str, reason: str) -> None:
        await self._database.write(
            lambda connection: connection.execute(
                "UPDATE webhook SET disabled_reason = ? WHERE webhook_id = ?", (reason, webhook_id)
            )
        )


def _endpoint(row: sqlite3.Row) -> Endpoint:
    webhook = Webhook(
        webhook_id=row["webhook_id"],
        url=row["url"],
        event_types=row["event_types"].split(),
        disabled_reason=row["disabled_reason"],
        last_outcome=row["last_outcome"],
    )
    webhook.create_time.FromMicroseconds(row["create_us"])
    return Endpoint(row["tenant"], webhook, Sealed.FromString(row["secret"]), row["failures"])


def _us(time: datetime) -> int:
    return int(time.timestamp() * 1_000_000)
