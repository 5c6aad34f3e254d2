"""The gateway's key store in a dictionary."""

from __future__ import annotations

from datetime import datetime

from malha_gateway.keys import StoredKey


class MemoryKeys:
    """A key store that counts how often it is ``asked``; ``kept`` holds the keys by their ids."""

    def __init__(self) -> None:
        self.kept: dict[str, StoredKey] = {}
        self.asked = 0

    async def find(self, key_id: str) -> StoredKey | None:
        self.asked += 1
        return self.kept.get(key_id)

    async def put(self, key: StoredKey) -> None:
        self.kept[key.principal.key_id] = key

    async def revoke(self, key_id: str, at: datetime) -> None:
        key = self.kept[key_id]
        self.kept[key_id] = StoredKey(key.principal, key.digest, key.expires_at, key.revoked_at or at)
