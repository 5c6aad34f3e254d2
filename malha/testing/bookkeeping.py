"""What calls cost and when that counts, worked out by hand: fractions, lists, no line of the cost service.

The simulated year holds the ledger to this. It is written to be believed, not to be fast: a total is a walk
over all calls, a price the last line of a list whose day has come, an amount a fraction until the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo


class Line(NamedTuple):
    """A price from a day (UTC) on: dollars per million tokens, which is micro-dollars a token."""

    model: str
    since: date
    fresh: str
    cached: str
    output: str
    above: int = 10**12
    """Longer inputs are priced by the next three, all of the call."""
    long_fresh: str = "0"
    long_cached: str = "0"
    long_output: str = "0"


class Call(NamedTuple):
    """One call from its reservation to the last word on it."""

    key: str
    tenant: str
    api_key: str
    agent: str
    model: str
    """Empty for a tool, whose amounts are ``most_output`` and ``output`` micro-dollars."""
    at: datetime
    most_input: int
    most_output: int
    fresh: int
    cached: int
    output: int
    ended: str
    """"used", "released", "guessed" (settled at its ceiling), or "open" where nobody ever did."""
    ended_at: datetime
    corrected: str
    """What came of a guess later: "used", "released", or nothing."""
    corrected_at: datetime
    adjusted: int
    """Micro-dollars that an operator moved; zero for none."""
    adjusted_at: datetime


FOR_EVER = datetime.max.replace(tzinfo=UTC)
Sums: TypeAlias = tuple[int, int, int]
"""Micro-dollars spent, micro-dollars held, tokens used."""
Totals: TypeAlias = dict[tuple[str, str, str], Sums]
"""By what ("day", "month", "model", "agent", "key", "organisation"), whose, and which."""


class Books:
    """A year's calls.

    Args:
        prices: in the order of their days.
        zones: of the tenants, by IANA name.
        organisation: its tenants.
    """

    def __init__(
        self, calls: Iterable[Call], prices: Sequence[Line], zones: dict[str, str], organisation: set[str]
    ) -> None:
        self.calls = list(calls)
        self._prices = prices
        self._zones = {tenant: ZoneInfo(zone) for tenant, zone in zones.items()}
        self._organisation = organisation
        self._days = {call.key: self.day(call.tenant, call.at) for call in self.calls}
        self._used = {
            call.key: self._amount(call, call.fresh, call.cached, call.output) for call in self.calls
        }
        self._most = {call.key: self._ceiling(call) for call in self.calls}

    def day(self, tenant: str, at: datetime) -> date:
        """What the tenant's calendar calls that instant."""
        return at.astimezone(self._zones[tenant]).date()

    def begins(self, tenant: str, day: date) -> datetime:
        """The first microsecond of a day, found by halving the time in which it must be."""
        before = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=2)
        after = before + timedelta(days=4)
        while after - before > timedelta(microseconds=1):
            middle = before + (after - before) // 2
            if self.day(tenant, middle) < day:
                before = middle
            else:
                after = middle
        return after

    def spent(self, wanted: Callable[[Call, date], bool], when: datetime = FOR_EVER) -> Sums:
        """What the wanted calls had come to at an instant, that instant's own events included."""
        spent = held = tokens = 0
        for call in self.calls:
            if wanted(call, self._days[call.key]):
                one = self._at(call, when)
                spent, held, tokens = spent + one[0], held + one[1], tokens + one[2]
        return spent, held, tokens

    def totals(self) -> Totals:
        """All that is left in the end."""
        found: Totals = {}

        def add(kind: str, whose: str, which: str, sums: Sums) -> None:
            before = found.get((kind, whose, which), (0, 0, 0))
            found[kind, whose, which] = (before[0] + sums[0], before[1] + sums[1], before[2] + sums[2])

        for call in self.calls:
            sums = self._at(call, FOR_EVER)
            day = self._days[call.key].isoformat()
            add("day", call.tenant, day, sums)
            add("month", call.tenant, day[:7], sums)
            add("model", call.tenant, call.model or "t", sums)
            add("agent", call.tenant, call.agent, sums)
            add("key", call.tenant, call.api_key, sums)
            if call.tenant in self._organisation:
                add("organisation", "", "in all", sums)
        return {which: sums for which, sums in found.items() if any(sums)}

    def _at(self, call: Call, when: datetime) -> Sums:
        if when < call.at:
            return 0, 0, 0
        if call.ended == "open" or when < call.ended_at:
            return 0, self._most[call.key], 0
        word = call.ended
        if word == "guessed" and call.corrected and call.corrected_at <= when:
            word = call.corrected
        known: Sums = {
            "used": (self._used[call.key], 0, call.fresh + call.cached + call.output),
            "guessed": (self._most[call.key], 0, call.most_input + call.most_output),
            "released": (0, 0, 0),
        }[word]
        moved = call.adjusted if call.adjusted and call.adjusted_at <= when else 0
        return known[0] + moved, 0, known[2] if call.model else 0

    def _amount(self, call: Call, fresh: int, cached: int, output: int) -> int:
        if not call.model:
            return output
        line = [one for one in self._prices if one.model == call.model and one.since <= call.at.date()][-1]
        rates = line.fresh, line.cached, line.output
        if fresh + cached > line.above:
            rates = line.long_fresh, line.long_cached, line.long_output
        return math.ceil(
            sum(n * Fraction(rate) for n, rate in zip((fresh, cached, output), rates, strict=True))
        )

    def _ceiling(self, call: Call) -> int:
        """The dearest use within the limits, by trying those that can be it."""
        if not call.model:
            return call.most_output
        lengths = {call.most_input}
        lengths |= {line.above for line in self._prices if line.above < call.most_input}
        return max(
            self._amount(call, *halves, call.most_output)
            for length in lengths
            for halves in ((length, 0), (0, length))
        )
