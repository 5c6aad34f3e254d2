"""Sealing: what people and tools said is encrypted under the tenant's own key before it is stored.

AES-256-GCM with 12 random bytes of nonce; the additional data binds a ciphertext to tenant, run and
kind of event, so that it cannot be moved to another place and still be opened. Destroying the
tenant's key erases every copy at once.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from malha.api.run.v1.record_pb2 import Content, Sealed


class DataKey(NamedTuple):
    """A tenant's key: its id and its 32 bytes."""

    key_id: str
    secret: bytes


class KeyRing(Protocol):
    """Where tenants' keys come from. Raises MalhaError DEPENDENCY_UNAVAILABLE when it is away."""

    async def current(self, tenant: str) -> DataKey:
        """The key to seal with; made on first use. Any number of racing callers get the same one."""
        ...

    async def find(self, tenant: str, key_id: str) -> DataKey | None:
        """The tenant's key of that id; None if it was destroyed or never was the tenant's."""
        ...


class UnsealableError(Exception):
    """The content cannot be opened: its key is destroyed, or it was moved or changed."""


class Sealer:
    """Seals and opens contents. ``kind`` is the event's name in the oneof, such as "step_finished"."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def seal(self, tenant: str, run_id: str, kind: str, content: Content) -> Sealed:
        """``content`` for that one place."""
        raise NotImplementedError

    async def open(self, tenant: str, run_id: str, kind: str, sealed: Sealed) -> Content:
        """What was sealed; an empty Content for an empty Sealed. Raises UnsealableError."""
        raise NotImplementedError
