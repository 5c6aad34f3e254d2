"""Spending as the watch sees it: what was settled lately, summed by hour and by run.

These sums are estimates beside the ledger, made off the hot path; nothing is decided by them but whether
people are alarmed. An hour is kept for four weeks, a run for an hour, and then as one of its agent's latest
for a year at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from malha.api.event.v1.alert_pb2 import Alert

ALL = ""
"""In place of an agent: all of the tenant's together."""
DAYS = 28
HOURS_A_DAY = 24
HOURS_KEPT = HOURS_A_DAY * (DAYS + 1)
RUNS = 256
"""How many of an agent's runs say what is usual, the latest."""
_HOUR_US = 3600 * 1_000_000
_DAY_US = HOURS_A_DAY * _HOUR_US
_RUNS_KEPT_US = 365 * _DAY_US


class Spent(NamedTuple):
    """Money moved by an entry."""

    at_us: int
    tenant: str
    key_id: str
    user_id: str
    session: str
    run_id: str
    agent: str
    spent: int


class Hour(NamedTuple):
    """An agent's hour, or a tenant's."""

    tenant: str
    agent: str
    hour: int
    """Hours since 1970, in UTC."""


class Run(NamedTuple):
    """A run, by the agent that spends."""

    tenant: str
    agent: str
    run_id: str


class RunSum(NamedTuple):
    """What a run has spent."""

    spent: int
    calls: int
    last_us: int


class Batch(NamedTuple):
    """Entries not looked at before, in order of their time."""

    before_us: int | None
    """How far the watch had come; None at first."""
    spent: Sequence[Spent]


class Findings(NamedTuple):
    """What a batch comes to: to be stored in one transaction, with how far it went."""

    before_us: int | None
    after_us: int
    hours: Mapping[Hour, int]
    runs: Mapping[Run, RunSum]
    """Changes."""
    alerts: Sequence[Alert]

    @property
    def going_on_us(self) -> int:
        """Runs that spent something since then may go on, however many others their agent had since."""
        return self.after_us - _HOUR_US

    @property
    def forgotten(self) -> tuple[int, int] | None:
        """The hour, and the time of a run, before which nothing is kept, whoever spent it.

        None but once a day: agents that spend are seen to at once, and all others are read for this.
        """
        if self.before_us is not None and self.before_us // _DAY_US == self.after_us // _DAY_US:
            return None
        return hour_of(self.after_us) - HOURS_KEPT, self.after_us - _RUNS_KEPT_US


def hour_of(at_us: int) -> int:
    """Hours since 1970."""
    return at_us // _HOUR_US


def by_hour(spent: Iterable[Spent]) -> dict[Hour, int]:
    """Sums by hour, for each agent and for all of the tenant's together."""
    sums: Counter[Hour] = Counter()
    for one in spent:
        for agent in {one.agent, ALL}:
            sums[Hour(one.tenant, agent, hour_of(one.at_us))] += one.spent
    return dict(sums)


def by_run(spent: Iterable[Spent]) -> dict[Run, RunSum]:
    """Sums by run."""
    sums: dict[Run, RunSum] = {}
    for one in spent:
        run = Run(one.tenant, one.agent, one.run_id)
        amount, calls, last_us = sums.get(run, RunSum(0, 0, 0))
        sums[run] = RunSum(amount + one.spent, calls + 1, max(last_us, one.at_us))
    return sums


def same_hour(past: Mapping[int, int], hour: int) -> list[int]:
    """What was spent at the same hour of past days, from the first day on of which anything is known.

    Args:
        past: micro-dollars by hour; an hour without spending may be missing.
    """
    first = min(past, default=hour)
    hours = (hour - HOURS_A_DAY * day for day in range(1, DAYS + 1))
    return [past.get(one, 0) for one in hours if one >= first]
