"""Sealing: what people and tools said is encrypted under the tenant's own key before it is stored.

AES-256-GCM with 12 random bytes of nonce; the additional data binds a ciphertext to tenant, run and
kind of event, so that it cannot be moved to another place and still be opened. Destroying the
tenant's key erases every copy at once.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from malha.api.run.v1.record_pb2 import Content, Sealed

_NONCE_BYTES = 12


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
        """``content`` for that one place; an empty Content gives an empty Sealed."""
        plain = content.SerializeToString()
        if not plain:
            return Sealed()
        key = await self._keys.current(tenant)
        nonce = os.urandom(_NONCE_BYTES)
        ciphertext = _cipher(key.secret).encrypt(nonce, plain, _place(tenant, run_id, kind))
        return Sealed(key_id=key.key_id, nonce=nonce, ciphertext=ciphertext)

    async def open(self, tenant: str, run_id: str, kind: str, sealed: Sealed) -> Content:
        """What was sealed; an empty Content for an empty Sealed. Raises UnsealableError."""
        if not sealed.ciphertext:
            return Content()
        key = await self._keys.find(tenant, sealed.key_id)
        if key is None:
            raise UnsealableError("the key is gone")
        try:
            plain = _cipher(key.secret).decrypt(sealed.nonce, sealed.ciphertext, _place(tenant, run_id, kind))
        except (InvalidTag, ValueError) as error:
            raise UnsealableError("the content is not what was sealed here") from error
        return Content.FromString(plain)


def _place(tenant: str, run_id: str, kind: str) -> bytes:
    """The additional data: none of the parts can hold a NUL, so no two places look alike."""
    return f"{tenant}\0{run_id}\0{kind}".encode()


@lru_cache(1024)
def _cipher(secret: bytes) -> AESGCM:
    return AESGCM(secret)
