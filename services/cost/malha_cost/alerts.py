"""Alerts: what people must hear of about money, each told once.

An alert's id is a hash of what it is about, and it is stored in the transaction of what caused it. So
whoever finds the same again, after a retry, a crash or in another process, finds it told.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from malha.api.cost.v1.budget_pb2 import BudgetPolicy, BudgetStatus, QuotaStatus, Scope, Window
from malha.api.cost.v1.cost_service_pb2 import Denied
from malha.api.event.v1.alert_pb2 import Alert
from malha.run.keys import alert_id
from malha_cost.accounts import RUN, TENANT, Account
from malha_cost.budget import Rules
from malha_cost.windows import MONTH, Moment, span

WARNED, BRAKED, STOPPED = "budget_warned", "budget_braked", "budget_stopped"
ANOMALY, RUNAWAY = "spend_anomaly", "runaway_run"
_QUOTA = "quota"
_REMEMBERED = 4096


class Mark(NamedTuple):
    """What is told once: a budget has come so far in this period."""

    type: str
    account: Account
    scope: str
    window: int
    rolling: bool
    limit: int
    """Micro-dollars, or tokens of the quota: a budget that was changed is another one."""
    period: str
    """The calendar's name for it, also of a window that rolls."""


class Reached(NamedTuple):
    """A mark, and what stood there when it was reached."""

    mark: Mark
    status: BudgetStatus | QuotaStatus


def reached(rules: Rules, policy: BudgetPolicy, now: Moment, denied: Denied | None = None) -> list[Reached]:
    """The marks that budgets of people, not of runs, have reached, and the one that stopped somebody.

    A denial that waiting may cure stops nobody, and the brake is told of when it is reached. Under a limit
    that is used up nobody asks any more: runs are refused before they begin.
    """
    found: list[Reached] = []
    stops = denied is not None and not denied.may_free and not denied.braked
    warn, brake = policy.warn_percent, policy.brake_percent
    for status, account, _ in rules.limits:
        if account.scope == RUN:
            continue
        spent, limit = status.spent_microusd * 100, status.budget.limit_microusd
        if spent and spent >= limit * warn:
            found.append(_reached(WARNED, account, status, now))
        if spent and brake < 100 and spent >= limit * brake:
            found.append(_reached(BRAKED, account, status, now))
        refused = stops and denied is not None and denied.budget.budget == status.budget
        if refused or (spent and spent >= limit * 100):
            found.append(_reached(STOPPED, account, status, now))
    if stops and denied is not None and denied.HasField("quota") and rules.limits:
        tenant = next(account.tenant for _, account, _ in rules.limits if account.scope == TENANT)
        period = span(MONTH, False, now).since
        account = Account(tenant, TENANT, "")
        mark = Mark(STOPPED, account, _QUOTA, MONTH, False, denied.quota.limit_tokens, period)
        found.append(Reached(mark, denied.quota))
    return found


def alert_of(found: Reached, now: Moment) -> Alert:
    """What is told of it."""
    mark, status = found
    account = mark.account
    window = Window.Name(Window.ValueType(mark.window)).removeprefix("WINDOW_").lower()
    about = mark.type, mark.scope, account.scope_id, window, str(mark.rolling), str(mark.limit), mark.period
    alert = Alert(
        id=alert_id(account.tenant, *about),
        tenant=account.tenant,
        type=mark.type,
        scope=mark.scope,
        scope_id=account.scope_id,
        window=window,
        rolling=mark.rolling,
    )
    alert.time.FromMicroseconds(now.at_us)
    if isinstance(status, QuotaStatus):
        alert.limit_tokens, alert.used_tokens = mark.limit, status.used_tokens
    else:
        alert.limit_microusd = mark.limit
        alert.spent_microusd, alert.reserved_microusd = status.spent_microusd, status.reserved_microusd
    return alert


def organisation_of(alert: Alert) -> str:
    """The organisation whose budget it is about; empty for a tenant's own."""
    return "" if alert.tenant else alert.scope_id


class Told:
    """The marks of late that are known to be stored: a budget past its mark asks no database again."""

    def __init__(self) -> None:
        self._marks: OrderedDict[Mark, None] = OrderedDict()

    def new(self, marks: Iterable[Reached]) -> Iterator[Reached]:
        """Those that are not known to be stored."""
        return (found for found in marks if found.mark not in self._marks)

    def took(self, marks: Sequence[Reached]) -> None:
        """They are stored now."""
        for found in marks:
            self._marks[found.mark] = None
            if len(self._marks) > _REMEMBERED:
                self._marks.popitem(last=False)


def _reached(kind: str, account: Account, status: BudgetStatus, now: Moment) -> Reached:
    budget = status.budget
    period = span(budget.window, False, now).since
    scope = Scope.Name(budget.scope).removeprefix("SCOPE_").lower()
    mark = Mark(kind, account, scope, budget.window, budget.rolling, budget.limit_microusd, period)
    kept = BudgetStatus()
    kept.CopyFrom(status)  # the one in hand goes on changing
    return Reached(mark, kept)
