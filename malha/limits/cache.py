"""Bytes kept for a while, never relied upon.

A cache may lose anything at any time: a miss and an absent store look the same to the caller. What it
must never do is answer one tenant with another's bytes, so keys are made by :func:`tenant_key` alone,
which begins with the tenant and hashes the rest: no part can be chosen so that two keys meet.
"""

from __future__ import annotations

import hashlib
from typing import NewType, Protocol

Key = NewType("Key", str)


def tenant_key(tenant: str, kind: str, *parts: str | bytes) -> Key:
    """The key of one tenant's thing: ``<kind>:<tenant>:<sha256 of the parts>``.

    Args:
        tenant: the owner; nothing cached under another tenant's key is ever read.
        kind: what is cached, such as "tool_result".
        parts: what tells one entry from another; each is hashed with its length.
    """
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return Key(f"{kind}:{tenant}:{digest.hexdigest()}")


class Cache(Protocol):
    """Get and set; a miss is None."""

    async def get(self, key: Key) -> bytes | None:
        """The bytes kept under ``key``, or None: never kept, forgotten, or the store is away."""
        ...

    async def set(self, key: Key, value: bytes, ttl: float) -> None:
        """Keep ``value`` for at most ``ttl`` seconds; silently not, if the store is away."""
        ...

    async def drop(self, key: Key) -> None:
        """Forget ``key``."""
        ...
