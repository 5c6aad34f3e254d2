"""What the rules of money need from outside: a ledger that changes one question at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from malha.api.cost.v1.budget_pb2 import Budget, BudgetPolicy, BudgetStatus
from malha.api.cost.v1.cost_service_pb2 import HeldRun
from malha.api.cost.v1.report_pb2 import CacheSavings, QueryCost, Uncertain
from malha.api.cost.v1.usage_pb2 import DayUsage, UsageGroup, UsageRow
from malha.api.event.v1.alert_pb2 import Alert
from malha_cost.advice import ModelCalls, Unknown
from malha_cost.authorization import Decision, Known, Question
from malha_cost.budget import Who
from malha_cost.days import Days
from malha_cost.ledger import Entry
from malha_cost.spending import Batch, Findings, Hour, RunSum


class NobodyWaitsError(Exception):
    """Whoever asked gave up before it was decided; nobody hears this."""


class Ledger(Protocol):
    """Entries, the balances they add up to, and budgets. Whatever is answered is on disk."""

    async def change(
        self, question: Question, now: datetime, decide: Callable[[Question, Known], Decision]
    ) -> Decision:
        """Load what the question touches, decide, add the decision's entries: all in one transaction.

        Questions that touch the same money are taken one after the other. An error of ``decide`` is
        raised here and leaves nothing behind. Whoever gives up before it is decided has asked nothing: a
        database that stalled would afterwards hold money for all who came meanwhile and left.
        """
        ...

    async def standing(self, who: Who, now: datetime) -> Known:
        """The limits that bound somebody and where they stand; without histories."""
        ...

    async def set_budget(self, tenant: str, budget: Budget, now: datetime) -> BudgetStatus:
        """Set a limit in place of the one of the same scope and window; where it stands.

        Args:
            tenant: whose it is, or whose organisation's; its windows hang in the tenant's calendar.

        Raises:
            MalhaError: as :func:`malha_cost.budget.bounded`.
        """
        ...

    async def set_policy(
        self, tenant: str, policy: BudgetPolicy, check: Callable[[BudgetPolicy], None]
    ) -> BudgetPolicy:
        """Set how a tenant's budgets are kept; the policy, resolved.

        Args:
            check: told of the policy in force, in the same transaction; may raise to leave it.
        """
        ...

    async def usage(
        self, tenant: str, now: datetime, choose: Callable[[str], tuple[str, str]]
    ) -> list[DayUsage]:
        """What a tenant spent by day.

        Args:
            choose: from today's date in the tenant's time zone, the first and the last day that are meant.
        """
        ...

    async def held(self, before: datetime, *, limit: int, skip: int) -> list[HeldRun]:
        """Runs of all tenants that hold something and reserved nothing since ``before``, oldest first.

        The first ``skip`` of them are left out.
        """
        ...


class DayFigures(NamedTuple):
    """What a day's entries add up to, for a report."""

    query_costs: list[QueryCost]
    calls: list[ModelCalls]
    unknown: list[Unknown]
    savings: CacheSavings
    uncertain: Uncertain


class UsageRecords(Protocol):
    """What was used, as the ledger's entries say; read without holding up who adds to them."""

    async def grouped(self, tenant: str | None, group: UsageGroup, days: Days) -> list[UsageRow]:
        """What was spent by group, of a tenant or of all: the dearest first, days in their order."""
        ...

    async def figures(self, tenant: str, day: str, lengths: Sequence[int]) -> DayFigures:
        """What a report needs of a day.

        Args:
            lengths: of an input, beyond which prices are others; calls between two of them are summed up.
        """
        ...

    async def last(self, tenant: str) -> int:
        """The sequence of the tenant's last record; all below it are there. Zero where there is none."""
        ...

    async def between(
        self, tenant: str, after: int, end: int, days: Days, most: int
    ) -> list[tuple[int, Entry]]:
        """The first records of these days behind ``after`` and up to ``end``, with their sequences."""
        ...


class Spending(Protocol):
    """What was settled, followed some way behind, and the sums that are kept of it."""

    async def spent(self, until: datetime, *, limit: int) -> Batch:
        """What was settled up to then and not followed yet, the oldest first; about ``limit`` of it."""
        ...

    async def hours(self, place: Hour, hours: int) -> dict[int, int]:
        """What was spent there in that hour and so many before it; hours without spending are left out."""
        ...

    async def runs(self, tenant: str, agent: str, named: Collection[str]) -> dict[str, RunSum]:
        """The agent's latest runs that spent something, and the named ones of its runs, by their ids."""
        ...

    async def follow(self, findings: Findings) -> list[Alert] | None:
        """Store sums, alerts and how far they go; which alerts were not stored before.

        None, and nothing is stored, where another process was first.
        """
        ...


class AlertBook(Protocol):
    """Alerts, as the ledger keeps them."""

    async def untold(self, limit: int) -> list[Alert]:
        """Those of tenants that were not announced yet, the oldest first."""
        ...

    async def told(self, alerts: Sequence[tuple[str, str]], now: datetime) -> None:
        """They, by tenant and id, were announced."""
        ...

    async def latest(self, tenant: str, organisation: str, limit: int) -> list[Alert]:
        """Of a tenant, and of an organisation where it is named; the newest first."""
        ...
