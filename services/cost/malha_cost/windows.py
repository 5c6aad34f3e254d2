"""Over which stretch of time a budget counts, in the calendar of whoever spends.

Balances are kept by periods: by the day, as the tenant's time zone names it, and by hours, minutes and
five seconds of those accounts alone that have a budget which needs so fine a grain. Money counts in the
periods in which it was reserved, settled when it may. A window is a range of periods: a calendar day is
one of them, a month at most 31, a rolling day 25 hours; so a rolling window is never shorter than it says.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache
from importlib import resources
from typing import NamedTuple
from zoneinfo import ZoneInfo

from malha.api.cost.v1.budget_pb2 import Budget, Window

# as constants: an enum's attribute is looked up by name, which the hot path would feel
DAY, MONTH, TOTAL, MINUTE = (
    Window.WINDOW_DAY,
    Window.WINDOW_MONTH,
    Window.WINDOW_TOTAL,
    Window.WINDOW_MINUTE,
)
_HOURS, _MINUTES, _FIVES = range(3)
_SECONDS = (3600, 60, 5)
_LETTERS = "hms"
_LENGTHS: dict[int, int] = {MINUTE: 60, DAY: 86400}
_NO_DAY_IS_LATER = "9999-12-31"  # and every finer period sorts behind it
_NO_NUMBER_IS_HIGHER = "9" * 11
_ROLLING: dict[int, timedelta] = {
    MINUTE: timedelta(minutes=1, seconds=5),
    DAY: timedelta(hours=25),
}


class Moment(NamedTuple):
    """Now, as a tenant's calendar has it."""

    at_us: int
    """Microseconds since 1970."""
    day: str
    """YYYY-MM-DD in the tenant's time zone."""
    zone: tzinfo


class Span(NamedTuple):
    """A range of periods, both ends included."""

    since: str
    until: str


WHOLE = Span("", _NO_DAY_IS_LATER)
"""All days there are."""


@cache
def zones() -> frozenset[str]:
    """Names of the time zones that every machine has, as they are installed with this package. One may have
    more of its own, such as "localtime", by which the next has other days or none."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


def moment(now: datetime, time_zone: str) -> Moment:
    """``now`` (UTC) in a time zone by its IANA name; empty means UTC."""
    at_us = int(now.timestamp()) * 1_000_000 + now.microsecond
    if not time_zone:
        return Moment(at_us, now.date().isoformat(), UTC)
    zone = ZoneInfo(time_zone)
    return Moment(at_us, now.astimezone(zone).date().isoformat(), zone)


def span(window: int, rolling: bool, now: Moment) -> Span:
    """The periods that a window which ends now is made of."""
    if grain := _grain(window, rolling):
        end = now.at_us // 1_000_000
        index = grain.bit_length() - 1
        if rolling:
            # what a clock ahead of this one has put in counts as well: there may be several processes
            return Span(_named(index, end - _LENGTHS[window]), _LETTERS[index] + _NO_NUMBER_IS_HIGHER)
        return Span(_named(index, end), _named(index, end))
    if window == TOTAL:
        return WHOLE
    since = now.day
    if window == MONTH:
        since = _ago(now.day, 30) if rolling else now.day[:8] + "01"
    return Span(since, _NO_DAY_IS_LATER)


def ends(window: int, rolling: bool, now: Moment) -> datetime | None:
    """When nothing that counts now does any more, in UTC; None where that never comes."""
    at = datetime.fromtimestamp(now.at_us // 1_000_000, UTC)
    if window == TOTAL:
        return None
    if rolling and window != MONTH:
        return at + _ROLLING[window]
    if window == MINUTE:
        return at.replace(second=0) + timedelta(minutes=1)
    today = date.fromisoformat(now.day)
    if window == DAY:
        first = today + timedelta(days=1)
    elif rolling:
        first = today + timedelta(days=31)  # it moves by the day, and not all days have 24 hours
    else:
        first = date(today.year + today.month // 12, today.month % 12 + 1, 1)
    return datetime(first.year, first.month, first.day, tzinfo=now.zone).astimezone(UTC)


def fine(budget: Budget) -> int:
    """A bit that says which finer periods the accounts of the budget's scope need; zero for none."""
    return _grain(budget.window, budget.rolling) << 3 * budget.scope


def periods(scope: int, day: str, opened_us: int, grains: int) -> list[str]:
    """The periods in which money reserved at ``opened_us`` counts for an account of that scope.

    Args:
        grains: bits of :func:`fine` that were in force then.
    """
    if not grains:
        return [day]
    named = [day]
    if mine := grains >> 3 * scope & 7:
        named += [
            _named(index, opened_us // 1_000_000) for index in range(len(_SECONDS)) if mine & 1 << index
        ]
    return named


def _grain(window: int, rolling: bool) -> int:
    if window == MINUTE:
        return 1 << (_FIVES if rolling else _MINUTES)
    return 1 << _HOURS if window == DAY and rolling else 0


def _named(index: int, seconds: int) -> str:
    return f"{_LETTERS[index]}{seconds // _SECONDS[index]:011d}"


def _ago(day: str, days: int) -> str:
    return (date.fromisoformat(day) - timedelta(days=days)).isoformat()
