"""What the rules of money need from outside: a ledger that changes one question at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple, Protocol

from malha.api.cost.v1.budget_pb2 import Budget, BudgetPolicy, BudgetStatus
from malha.api.cost.v1.cost_service_pb2 import HeldRun
from malha.api.cost.v1.report_pb2 import CacheSavings, QueryCost, Uncertain
from malha.api.cost.v1.usage_pb2 import DayUsage, UsageGroup, UsageRow
from malha_cost.advice import ModelCalls, Unknown
from malha_cost.authorization import Decision, Known, Question
from malha_cost.budget import Who
from malha_cost.days import Days
from malha_cost.ledger import Entry


class Ledger(Protocol):
    """Entries, the balances they add up to, and budgets. Whatever is answered is on disk."""

    async def change(
        self, question: Question, now: datetime, decide: Callable[[Question, Known], Decision]
    ) -> Decision:
        """Load what the question touches, decide, add the decision's entries: all in one transaction.

        Questions that touch the same money are taken one after the other. An error of ``decide`` is
        raised here and leaves nothing behind.
        """
        ...

    async def standing(self, who: Who, now: datetime) -> Known:
        """The limits that bound somebody and where they stand; without histories."""
        ...

    async def set_budget(self, tenant: str, owner: str, budget: Budget, now: datetime) -> BudgetStatus:
        """Set a limit in place of the one of the same scope and window; where it stands.

        Args:
            tenant: whose calendar its windows hang in.
            owner: the tenant it belongs to; empty for an organisation's.
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

    async def held(self, before: datetime, *, limit: int) -> list[HeldRun]:
        """Runs of all tenants that hold something and reserved nothing since ``before``, oldest first."""
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

    async def figures(self, tenant: str, day: str) -> DayFigures:
        """What a report needs of a day."""
        ...

    async def last(self, tenant: str) -> int:
        """The sequence of the tenant's last record; all below it are there. Zero where there is none."""
        ...

    async def between(
        self, tenant: str, after: int, end: int, days: Days, most: int
    ) -> list[tuple[int, Entry]]:
        """The first records of these days behind ``after`` and up to ``end``, with their sequences."""
        ...
