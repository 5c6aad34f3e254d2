"""Who has begun goes first: otherwise many half-done runs use up a budget and none of them ends.

A run that has spent money and is denied more is remembered, for a moment, at the budgets that denied
it. While it is, runs that have spent nothing yet are turned away there. It asks again within a
fraction of a second or has gone, so forgetting quickly is enough; and as this only decides who goes
first, never whether there is room, it may live in memory and be lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

SECONDS = 1.0
"""How long a run is remembered after it asked; the planner asks every 50 to 250 ms."""


class Account(NamedTuple):
    """Whose money: a tenant's, or one of its keys'."""

    tenant: str
    scope: int
    scope_id: str


class Waiting:
    """Started runs that wait for money, by account."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._runs: dict[Account, dict[str, float]] = {}

    def add(self, accounts: Iterable[Account], runs: Iterable[str], now: float) -> None:
        """Remember that ``runs`` wait at ``accounts``; ``now`` is monotonic seconds."""
        runs = list(runs)
        for account in accounts:
            waiting = self._runs.setdefault(account, {})
            for run in runs:
                waiting.pop(run, None)  # again at the end, so that the first one expires first
                waiting[run] = now + self._seconds

    def remove(self, accounts: Iterable[Account], runs: Iterable[str]) -> None:
        """Forget ``runs``: they were served, or will not ask again."""
        runs = list(runs)
        for account in accounts:
            if waiting := self._runs.get(account):
                for run in runs:
                    waiting.pop(run, None)

    def at(self, account: Account, now: float) -> bool:
        """Whether any run waits there."""
        waiting = self._runs.get(account)
        if waiting is None:
            return False
        while waiting:
            first = next(iter(waiting))
            if waiting[first] > now:
                return True
            del waiting[first]
        del self._runs[account]
        return False
