"""Which days are meant, of a tenant's calendar."""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

from malha.errors import invalid

_MOST_DAYS = 1100
_LAST_OF_ALL = "9999-12-31"


class Days(NamedTuple):
    """From the first to the last, both included, each as YYYY-MM-DD."""

    first: str
    last: str


def chosen(since: str, until: str, today: str) -> Days:
    """The days of a question; an empty end means today, an empty beginning 29 days before the end.

    Raises:
        MalhaError: FIELD_INVALID for what is no day, or for more than three years.
    """
    last = day(until, "until") if until else date.fromisoformat(today)
    try:
        first = day(since, "since") if since else last - timedelta(days=29)
    except OverflowError as error:
        raise invalid("until", "is before all time") from error
    if not 0 <= (last - first).days < _MOST_DAYS:
        raise invalid("since", f"is not after until, nor {_MOST_DAYS} days before")
    return Days(first.isoformat(), last.isoformat())


def unbounded(since: str, until: str) -> Days:
    """The same, where an empty end leaves none out. Raises FIELD_INVALID for what is no day."""
    for text, field in ((since, "since"), (until, "until")):
        if text:
            day(text, field)
    return Days(since, until or _LAST_OF_ALL)


def day(text: str, field: str) -> date:
    """The day of a field. Raises FIELD_INVALID."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise invalid(field, "is no day of the calendar") from error


def before(text: str) -> str:
    """The day before."""
    return (date.fromisoformat(text) - timedelta(days=1)).isoformat() if text > "0001-01-01" else text
