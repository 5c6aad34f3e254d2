"""Ids that sort by the time of their making and cannot be guessed."""

from __future__ import annotations

from ulid import ULID


def ulid() -> str:
    """A new ULID: 26 characters of Crockford base32, 48 bits of time and 80 of chance."""
    return str(ULID())
