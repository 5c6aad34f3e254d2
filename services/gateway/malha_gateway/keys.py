"""API keys: ``mk_<key id>_<secret>``.

The id names the key in logs, budgets and revocations; the secret is 256 bits of chance. Because it is,
a plain SHA-256 keeps it safe at rest: the slow hashes that passwords need defend against guessing, and
there is nothing here to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha_gateway.subscriptions import UNPAID, Paid

LIFETIME = timedelta(days=90)

_KEY = re.compile(r"mk_(?P<key_id>[a-z0-9]{1,32})_[A-Za-z0-9_-]{32,128}")


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What is kept of a key. Times are UTC; ``revoked_at`` is None while it may be used."""

    principal: Principal
    digest: bytes
    expires_at: datetime
    revoked_at: datetime | None = None
    paid: Paid = UNPAID
    """What is paid for the tenant: its tier stands in place of the key's own, if there is one."""

    def opens_to(self, api_key: str, now: datetime) -> bool:
        """Whether ``api_key`` is this key and may be used at ``now``."""
        return (
            hmac.compare_digest(self.digest, digest(api_key))
            and self.revoked_at is None
            and now < self.expires_at
        )

    def with_tier(self, now: datetime) -> StoredKey:
        """The key, with the tier that its tenant has at ``now``."""
        tier = self.paid.at(now)
        if tier == Tier.TIER_UNSPECIFIED:
            return self
        principal = Principal()
        principal.CopyFrom(self.principal)
        principal.tier = tier
        return replace(self, principal=principal)


def new_key() -> tuple[str, str]:
    """(key id, API key) of a new key. The second is a secret and exists nowhere else."""
    key_id = secrets.token_hex(8)
    return key_id, f"mk_{key_id}_{secrets.token_urlsafe(32)}"


def key_id_of(api_key: str) -> str | None:
    """The id inside a well-formed key; None for any other text."""
    match = _KEY.fullmatch(api_key)
    return match["key_id"] if match else None


def digest(api_key: str) -> bytes:
    """What is stored in place of the key."""
    return hashlib.sha256(api_key.encode()).digest()
