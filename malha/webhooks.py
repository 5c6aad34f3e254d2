"""Signatures of webhooks, as Standard Webhooks says (https://www.standardwebhooks.com, version 1.0).

What is signed is ``<webhook-id>.<webhook-timestamp>.<body>``, by HMAC-SHA256 under the secret's bytes. For
the gateway, which signs, and for whoever receives, to verify.
"""

from __future__ import annotations

import hmac
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping

__all__ = ["ForgedError", "new_secret", "signed", "verify"]

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
_PREFIX = "whsec_"
_BYTES = 32
_TOLERANCE = 300


class ForgedError(Exception):
    """The delivery was not signed with this secret, or is too old, or comes from the future."""


def new_secret() -> str:
    """``whsec_`` and 32 bytes of chance in base64."""
    return _PREFIX + b64encode(secrets.token_bytes(_BYTES)).decode()


def signed(secret: str, event_id: str, body: bytes, *, now: int) -> dict[str, str]:
    """The three headers of a delivery sent at ``now``, in seconds since 1970."""
    return {
        ID: event_id,
        TIMESTAMP: str(now),
        SIGNATURE: f"v1,{_signature(secret, event_id, str(now), body)}",
    }


def verify(secret: str, headers: Mapping[str, str], body: bytes, *, now: float | None = None) -> str:
    """The event's id, by which one that comes again is known.

    Args:
        headers: with names in lower case, or a mapping that does not mind.
        body: the bytes as they came, not parsed and put together again.
        now: seconds since 1970; by default the machine's clock.

    Raises:
        ForgedError: do nothing with it, and answer 401.
    """
    event_id, sent, signatures = (headers.get(name) or "" for name in (ID, TIMESTAMP, SIGNATURE))
    try:
        age = int(time.time() if now is None else now) - int(sent)
    except ValueError:
        raise ForgedError("the header webhook-timestamp is missing, or no number") from None
    if abs(age) > _TOLERANCE:
        raise ForgedError("it was not sent within five minutes of now")
    wanted = f"v1,{_signature(secret, event_id, sent, body)}".encode()
    if not any(hmac.compare_digest(_bytes(one), wanted) for one in signatures.split()):
        raise ForgedError("it was signed with another secret")
    return event_id


def _signature(secret: str, event_id: str, sent: str, body: bytes) -> str:
    key = b64decode(secret.removeprefix(_PREFIX))
    return b64encode(hmac.digest(key, _bytes(f"{event_id}.{sent}.") + body, "sha256")).decode()


def _bytes(header: str) -> bytes:
    """Some servers hand on, in place of bytes that are no text, what cannot be encoded otherwise."""
    return header.encode(errors="surrogatepass")
