"""A budget is a ceiling: what is spent and what is reserved under it never pass its limit.

Before the limit come two marks, by what is spent: one at which people are warned, and one at which the
brake lets no run begin any more, so that what is left is there for those that have begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from malha.api.common.v1.principal_pb2 import Tier
from malha.api.cost.v1.budget_pb2 import Budget, BudgetPolicy, BudgetStatus, Level, QuotaStatus, Scope, Window
from malha.api.cost.v1.cost_service_pb2 import Denied
from malha.errors import invalid
from malha_cost.accounts import (
    KEY,
    NOBODY,
    ORGANISATION,
    REQUEST,
    RUN,
    SESSION,
    TENANT,
    USER,
    Account,
)
from malha_cost.windows import DAY, TOTAL, Moment, Span, ends, span, zones

EACH = "*"
"""As a scope's id: each of them that has no budget of its own."""
_NAMED = {KEY: "the key", SESSION: "the session", USER: "the user's subject", RUN: "each run"}


class House(NamedTuple):
    """What holds where nobody set anything else."""

    tenant_daily_microusd: int
    request_microusd: int = 500_000
    warn_percent: int = 80
    brake_percent: int = 95
    monthly_tokens: Mapping[int, int] = {}
    """By tier; a tier that is not named has no quota."""


class Who(NamedTuple):
    """Whose limits are asked for."""

    tenant: str
    key_id: str
    user_id: str
    tier: int
    sessions: frozenset[str] = frozenset()
    run_limits: Mapping[str, int] = {}
    """Micro-dollars by run, for the runs that reserve."""


class Limit(NamedTuple):
    """A budget in force: whose, over which periods, and where it stands."""

    status: BudgetStatus
    account: Account
    span: Span


class Rules(NamedTuple):
    """All that bounds a principal's spending now."""

    limits: list[Limit]
    request_microusd: int
    quota: QuotaStatus | None
    """Absent where the tier has none."""
    begun: set[str]
    """Runs that used or hold tokens: what those cost may be nothing."""


def check(budget: Budget) -> None:
    """Refuse a budget whose parts do not fit each other (FIELD_INVALID)."""
    scope, named = budget.scope, budget.scope_id
    if scope not in _NAMED and named:
        raise invalid("budget.scope_id", "is empty for this scope")
    if scope in _NAMED and not named:
        raise invalid("budget.scope_id", f'names {_NAMED[scope]}, or is "{EACH}"')
    if scope == RUN and named != EACH:
        raise invalid("budget.scope_id", f'is "{EACH}" for runs: one run\'s limit comes with the run')
    if scope in (RUN, REQUEST) and budget.window != TOTAL:
        raise invalid("budget.window", "is WINDOW_TOTAL for this scope")
    if budget.rolling and budget.window == TOTAL:
        raise invalid("budget.rolling", "does not fit WINDOW_TOTAL")


def bounded(budget: Budget, tenant: str, policy: BudgetPolicy) -> Account:
    """The account that a tenant's budget bounds; FIELD_INVALID for an organisation's where it has none."""
    if budget.scope != ORGANISATION:
        return Account(tenant, budget.scope, budget.scope_id)
    if not policy.organisation:
        raise invalid("budget.scope", "the tenant belongs to no organisation")
    return Account(NOBODY, ORGANISATION, policy.organisation)


def check_policy(policy: BudgetPolicy) -> None:
    """Refuse a policy that cannot be kept (FIELD_INVALID)."""
    if policy.time_zone and policy.time_zone not in zones():
        raise invalid("policy.time_zone", "is no time zone of the IANA database")


def resolved(policy: BudgetPolicy | None, house: House) -> BudgetPolicy:
    """The policy with the house's figures where it has none."""
    found = BudgetPolicy()
    if policy is not None:
        found.CopyFrom(policy)
    found.warn_percent = found.warn_percent or house.warn_percent
    found.brake_percent = found.brake_percent or house.brake_percent
    return found


def rules(budgets: Iterable[Budget], who: Who, policy: BudgetPolicy, now: Moment, house: House) -> Rules:
    """What bounds ``who``, from the budgets that were set for it and the house's own; all stand at zero."""
    chosen: dict[tuple[Scope, str, Window, bool], int] = {}
    own: set[tuple[Scope, str, Window, bool]] = set()
    ids: dict[Scope, Iterable[str]] = {
        TENANT: ("",),
        REQUEST: ("",),
        ORGANISATION: (policy.organisation,) if policy.organisation else (),
        KEY: (who.key_id,) if who.key_id else (),
        USER: (who.user_id,) if who.user_id else (),
        SESSION: who.sessions,
        RUN: who.run_limits,
    }
    for budget in budgets:
        each = budget.scope_id == EACH
        for scope_id in ids[budget.scope]:
            place = budget.scope, scope_id, budget.window, budget.rolling
            if each and place not in own:
                chosen[place] = budget.limit_microusd
            elif scope_id == budget.scope_id:
                chosen[place] = budget.limit_microusd
                own.add(place)
    if not any(scope == TENANT and window == DAY for scope, _, window, _ in chosen):
        chosen[TENANT, "", DAY, False] = house.tenant_daily_microusd
    request = chosen.pop((REQUEST, "", TOTAL, False), house.request_microusd)
    for run, most in who.run_limits.items():
        chosen[RUN, run, TOTAL, False] = min(most, chosen.get((RUN, run, TOTAL, False), most))
    limits = []
    for (scope, scope_id, window, rolling), microusd in chosen.items():
        shown = scope_id if scope in _NAMED else ""
        budget = Budget(scope=scope, scope_id=shown, window=window, limit_microusd=microusd, rolling=rolling)
        owner = NOBODY if scope == ORGANISATION else who.tenant
        limits.append(
            Limit(BudgetStatus(budget=budget), Account(owner, scope, scope_id), span(window, rolling, now))
        )
    monthly = policy.monthly_tokens or house.monthly_tokens.get(who.tier or Tier.TIER_FREE)
    return Rules(limits, request, None if monthly is None else QuotaStatus(limit_tokens=monthly), set())


def left(status: BudgetStatus) -> int:
    """Micro-dollars that may still be reserved; negative after an overrun or a lowered limit."""
    return status.budget.limit_microusd - status.spent_microusd - status.reserved_microusd


def level(status: BudgetStatus, policy: BudgetPolicy) -> Level:
    """How near the budget is to its limit, by what is spent."""
    spent, limit = status.spent_microusd, status.budget.limit_microusd
    if spent >= limit:
        return Level.LEVEL_USED_UP
    if spent * 100 >= limit * policy.brake_percent and status.budget.scope != RUN:
        return Level.LEVEL_BRAKED
    return Level.LEVEL_WARNED if spent * 100 >= limit * policy.warn_percent else Level.LEVEL_OPEN


def dated(status: BudgetStatus, policy: BudgetPolicy, now: Moment) -> BudgetStatus:
    """The status with when its window ends and how near it is to its limit."""
    if end := ends(status.budget.window, status.budget.rolling, now):
        status.resets_at.FromDatetime(end)
    status.level = level(status, policy)
    return status


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


def braked(asked: Sequence[tuple[BudgetStatus, int]], policy: BudgetPolicy) -> Denied | None:
    """The limit whose brake stops what is asked; None where none does. A run's own limit has no brake."""
    percent = policy.brake_percent
    for status, wanted in asked:
        limit = status.budget.limit_microusd
        if wanted > 0 and status.budget.scope != RUN and status.spent_microusd * 100 >= limit * percent:
            return Denied(budget=status, wanted_microusd=wanted, braked=True)
    return None


def over_quota(quota: QuotaStatus, wanted: int) -> Denied | None:
    """The denial of a token quota without room for what is asked."""
    if wanted <= quota.limit_tokens - quota.used_tokens - quota.reserved_tokens:
        return None
    may_free = quota.used_tokens + wanted <= quota.limit_tokens
    return Denied(quota=quota, wanted_tokens=wanted, may_free=may_free)


def over_request(request_microusd: int, wanted: int) -> Denied | None:
    """The denial of one call that is dearer than any call may be."""
    if wanted <= request_microusd:
        return None
    budget = Budget(scope=REQUEST, window=Window.WINDOW_TOTAL, limit_microusd=request_microusd)
    return Denied(budget=BudgetStatus(budget=budget), wanted_microusd=wanted)
