"""Ids that sort by the time of their making and cannot be guessed."""

from __future__ import annotations

from datetime import datetime

from ulid import ULID


def ulid() -> str:
    """A new ULID: 26 characters of Crockford base32, 48 bits of time and 80 of chance."""
    return str(ULID())


def made_at(text: str) -> datetime | None:
    """When a ULID was made, in UTC, by the clock of whoever made it; None for any other text."""
    try:
        return ULID.from_str(text).datetime
    except ValueError:
        return None
