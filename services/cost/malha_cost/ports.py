"""What the rules of money need from outside: a ledger that changes one question at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from malha.api.cost.v1.budget_pb2 import Budget, BudgetPolicy, BudgetStatus
from malha.api.cost.v1.cost_service_pb2 import HeldRun
from malha.api.cost.v1.usage_pb2 import DayUsage
from malha_cost.authorization import Decision, Known, Question
from malha_cost.budget import Who


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

    async def held(self, before: datetime, *, limit: int) -> list[HeldRun]:
        """Runs of all tenants that hold something and reserved nothing since ``before``, oldest first."""
        ...
