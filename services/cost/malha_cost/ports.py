"""What the rules of money need from outside: a ledger that changes one question at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from malha.api.cost.v1.budget_pb2 import Budget, BudgetStatus
from malha_cost.authorization import Decision, Known, Question


class Ledger(Protocol):
    """Entries, the balances they add up to, and budgets. Whatever is answered is on disk."""

    async def change(self, question: Question, decide: Callable[[Question, Known], Decision]) -> Decision:
        """Load what the question touches, decide, add the decision's entries: all in one transaction.

        Questions are taken one after the other. An error of ``decide`` is raised here and leaves
        nothing behind.
        """
        ...

    async def statuses(self, tenant: str, key_id: str, day: str) -> list[BudgetStatus]:
        """Where the budgets of a tenant and of one of its keys stand on ``day``."""
        ...

    async def set_budget(self, tenant: str, budget: Budget, day: str) -> BudgetStatus:
        """Set a limit in place of the one of the same scope and window; where it stands."""
        ...
