"""From an API key to a principal.

Every refusal reads the same, whether a key is malformed, unknown, wrong, revoked or expired: what is
known about a key is told to nobody who cannot prove that they hold it. A verified key is believed for
a moment, so that a busy caller costs a dictionary look-up; a revocation here ends that at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.clock import Clock
from malha.errors import ConfigurationError, ErrorReason, MalhaError
from malha_gateway.keys import LIFETIME, StoredKey, digest, key_id_of
from malha_gateway.ports import KeyStore

_REMEMBERED = 10_000
DEV_SCOPES = ("runs", "knowledge", "approvals", "admin", "operator")


class Authenticator:
    """Says whose key came with a call.

    Args:
        memory_seconds: how long a verified key is believed without asking the store.
    """

    def __init__(self, store: KeyStore, clock: Clock, *, memory_seconds: float) -> None:
        self._store = store
        self._clock = clock
        self._memory_seconds = memory_seconds
        self._believed: OrderedDict[str, tuple[float, StoredKey]] = OrderedDict()

    async def principal(self, metadata: Mapping[str, str]) -> Principal:
        """The principal of a call's ``authorization: Bearer`` or ``x-api-key``.

        Raises:
            MalhaError: CREDENTIAL_MISSING or CREDENTIAL_INVALID.
        """
        api_key = _credential(metadata)
        key_id = key_id_of(api_key)
        key = await self._find(key_id, api_key) if key_id else None
        if key is None or not key.opens_to(api_key, self._clock.now()):
            raise MalhaError(
                ErrorReason.ERROR_REASON_CREDENTIAL_INVALID, "the API key is unknown, revoked or expired"
            )
        return key.principal

    def forget(self, key_id: str) -> None:
        """Believe nothing about a key any more."""
        self._believed.pop(key_id, None)

    async def _find(self, key_id: str, api_key: str) -> StoredKey | None:
        held = self._believed.get(key_id)
        if held and self._clock.monotonic() < held[0]:
            return held[1]
        key = await self._store.find(key_id)
        if key is not None and key.opens_to(api_key, self._clock.now()):
            key = key.with_tier(self._clock.now())
            # only a key that proved itself is remembered: strangers cannot push the others out
            self._believed[key_id] = (self._clock.monotonic() + self._memory_seconds, key)
            self._believed.move_to_end(key_id)
            if len(self._believed) > _REMEMBERED:
                self._believed.popitem(last=False)
        return key


def read_development_key(path: Path) -> str:
    """What ``path`` holds. ConfigurationError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error


async def import_development_key(store: KeyStore, api_key: str, clock: Clock) -> None:
    """Make ``api_key`` the key of the tenant "dev", good for another 90 days.

    A key that was revoked stays so: a restart must not undo a revocation.

    Raises:
        ConfigurationError: the text is not an API key; it is not quoted.
    """
    key_id = key_id_of(api_key)
    if key_id is None:
        raise ConfigurationError("the development key is not of the form mk_<key id>_<secret>")
    known = await store.find(key_id)
    if known and known.digest == digest(api_key) and known.revoked_at is not None:
        return
    principal = Principal(
        tenant="dev", subject="developer", key_id=key_id, tier=Tier.TIER_ENTERPRISE, scopes=DEV_SCOPES
    )
    await store.put(StoredKey(principal, digest(api_key), clock.now() + LIFETIME))


def require(principal: Principal, scope: str) -> None:
    """Raise SCOPE_MISSING unless the principal has ``scope``."""
    if scope not in principal.scopes:
        raise MalhaError(
            ErrorReason.ERROR_REASON_SCOPE_MISSING,
            f'the API key lacks the scope "{scope}"',
            metadata={"scope": scope},
        )


def _credential(metadata: Mapping[str, str]) -> str:
    scheme, _, token = metadata.get("authorization", "").partition(" ")
    api_key = token.strip() if scheme.lower() == "bearer" else metadata.get("x-api-key", "").strip()
    if not api_key:
        raise MalhaError(
            ErrorReason.ERROR_REASON_CREDENTIAL_MISSING,
            'send an API key as "authorization: Bearer <key>" or "x-api-key: <key>"',
        )
    return api_key
