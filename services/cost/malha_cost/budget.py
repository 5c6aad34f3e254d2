"""A budget is a ceiling: what is spent and what is reserved under it never pass its limit.

Money counts in the window in which it was reserved, and windows are calendar windows in UTC. All of
them are ranges of days that end today, so one balance a day serves every window: a day is one row, a
month at most 31, and a budget set in the middle of a month knows at once what the month has cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from malha.api.cost.v1.budget_pb2 import Budget, BudgetStatus, Scope, Window
from malha.api.cost.v1.cost_service_pb2 import Denied
from malha.errors import invalid

# as constants: an enum's attribute is looked up by name, which the hot path would feel
RUN, KEY, TENANT = Scope.SCOPE_RUN, Scope.SCOPE_KEY, Scope.SCOPE_TENANT
DAY, MONTH, TOTAL = Window.WINDOW_DAY, Window.WINDOW_MONTH, Window.WINDOW_TOTAL


def check(budget: Budget) -> None:
    """Refuse a budget whose scope and id do not fit each other (FIELD_INVALID)."""
    if budget.scope == TENANT and budget.scope_id:
        raise invalid("budget.scope_id", "is empty for a tenant's budget")
    if budget.scope == KEY and not budget.scope_id:
        raise invalid("budget.scope_id", "names the key")


def in_force(set_budgets: list[Budget], tenant_daily_microusd: int) -> list[Budget]:
    """The budgets that were set, and the daily one every tenant has without asking."""
    if any(b.scope == TENANT and b.window == DAY for b in set_budgets):
        return set_budgets
    default = Budget(scope=TENANT, window=DAY, limit_microusd=tenant_daily_microusd)
    return [*set_budgets, default]


def of_run(run_id: str, limit_microusd: int) -> Budget:
    """A run's own budget: its limit comes with each reservation, and it never starts anew."""
    return Budget(scope=RUN, scope_id=run_id, window=TOTAL, limit_microusd=limit_microusd)


def first_day(window: int, day: str) -> str:
    """First day (YYYY-MM-DD, UTC) of the window that ``day`` falls in; empty where there is none."""
    if window == DAY:
        return day
    if window == MONTH:
        return day[:8] + "01"
    return ""


def resets_at(window: int, day: str) -> datetime | None:
    """When the window of ``day`` ends; None where it never does."""
    year, month, number = int(day[:4]), int(day[5:7]), int(day[8:])
    if window == DAY:
        return datetime.fromtimestamp(datetime(year, month, number, tzinfo=UTC).timestamp() + 86400, UTC)
    if window == MONTH:
        return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return None


def left(status: BudgetStatus) -> int:
    """Micro-dollars that may still be reserved; negative after an overrun or a lowered limit."""
    return status.budget.limit_microusd - status.spent_microusd - status.reserved_microusd


def denial(asked: Sequence[tuple[BudgetStatus, int]]) -> Denied | None:
    """Whether the limits have room for what is asked of each of them, in micro-dollars.

    None where all have. Else the tightest limit that lacks room. ``may_free`` holds where what is
    reserved now would suffice if all of it came back; a limit that what is *spent* has used up comes
    first, since no waiting helps there. What costs nothing is never denied.
    """
    lacking = [(status, wanted) for status, wanted in asked if wanted > 0 and wanted > left(status)]
    if not lacking:
        return None

    def hopeless(status: BudgetStatus, wanted: int) -> bool:
        return status.spent_microusd + wanted > status.budget.limit_microusd

    status, wanted = min(lacking, key=lambda pair: (not hopeless(*pair), left(pair[0])))
    return Denied(budget=status, wanted_microusd=wanted, may_free=not hopeless(status, wanted))
