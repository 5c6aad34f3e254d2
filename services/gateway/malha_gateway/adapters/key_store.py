"""The gateway's SQLite file: API keys without their secrets."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.sqlite import Database
from malha_gateway.adapters.tenant_store import paid_of
from malha_gateway.keys import StoredKey


class SqliteKeyStore:
    """Keys in the table ``api_key``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key_id: str) -> StoredKey | None:
        """The key of that id."""

        def work(connection: sqlite3.Connection) -> StoredKey | None:
            row = connection.execute(
                "SELECT principal, digest, expire_time, revoke_time, tier, lapse_time"
                " FROM api_key LEFT JOIN tenant USING (tenant) WHERE key_id = ?",
                (key_id,),
            ).fetchone()
            if row is None:
                return None
            principal, digest, expires, revoked, tier, lapse_time = row
            return StoredKey(
                Principal.FromString(principal),
                digest,
                datetime.fromtimestamp(expires, UTC),
                datetime.fromtimestamp(revoked, UTC) if revoked is not None else None,
                paid_of(tier or Tier.TIER_UNSPECIFIED, lapse_time),
            )

        return await self._database.read(work)

    async def put(self, key: StoredKey) -> None:
        """Keep a key, in place of one of the same id."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO api_key"
                " (key_id, tenant, digest, principal, expire_time, revoke_time) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    key.principal.key_id,
                    key.principal.tenant,
                    key.digest,
                    key.principal.SerializeToString(),
                    key.expires_at.timestamp(),
                    key.revoked_at.timestamp() if key.revoked_at else None,
                ),
            )

        await self._database.write(work)

    async def revoke(self, key_id: str, at: datetime) -> None:
        """End a key; one that has ended stays as it is."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE api_key SET revoke_time = ? WHERE key_id = ? AND revoke_time IS NULL",
                (at.timestamp(), key_id),
            )

        await self._database.write(work)
