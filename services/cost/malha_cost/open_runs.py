"""Room that is kept for runs that have begun: otherwise many half-done runs use up a budget and none ends.

A run that was granted a call may need more of them; it says how many at most. Room for those is kept
from runs that have not begun, so that near the end of a budget few runs work at a time and those end.
Nobody is refused by this, only asked to wait: a run without company is admitted if its call alone fits.

This decides who goes first, never whether there is room; so it may live in memory and be lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from malha_cost.accounts import Account

SECONDS = 60.0
"""How long room is kept for a run that is not heard of again: longer than most calls take."""


class _Room(NamedTuple):
    amount: int
    until: float
    accounts: tuple[Account, ...]


_NOTHING = _Room(0, 0.0, ())


class OpenRuns:
    """What is kept for each run, and how much that is in each account."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._rooms: dict[str, _Room] = {}  # by the time they were last heard of
        self._kept: defaultdict[Account, int] = defaultdict(int)
        self._runs: defaultdict[Account, int] = defaultdict(int)

    def keep(self, run: str, accounts: Iterable[Account], amount: int, now: float) -> None:
        """Keep ``amount`` micro-dollars for ``run`` from now (monotonic seconds) on, in place of before."""
        self.close(run)
        room = self._rooms[run] = _Room(amount, now + self._seconds, tuple(accounts))
        for account in room.accounts:
            self._kept[account] += amount
            self._runs[account] += 1

    def close(self, run: str) -> None:
        """Keep nothing for ``run`` any more: it is over."""
        room = self._rooms.pop(run, _NOTHING)
        for account in room.accounts:
            self._kept[account] -= room.amount
            self._runs[account] -= 1
            if not self._runs[account]:
                del self._kept[account], self._runs[account]

    def of(self, run: str) -> int:
        """What is kept for ``run``."""
        return self._rooms.get(run, _NOTHING).amount

    def kept(self, account: Account, now: float) -> int | None:
        """What is kept in ``account`` for all its open runs; None where none is open."""
        while self._rooms:
            oldest = next(iter(self._rooms))
            if self._rooms[oldest].until > now:
                break
            self.close(oldest)
        return self._kept[account] if account in self._runs else None
