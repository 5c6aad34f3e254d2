"""Windows, denials and who goes first."""

from datetime import UTC, datetime

import pytest

from malha.api.cost.v1.budget_pb2 import Budget, BudgetStatus, Scope, Window
from malha.errors import MalhaError
from malha_cost import budget
from malha_cost.open_runs import Account, OpenRuns

DAY, MONTH, TOTAL = Window.WINDOW_DAY, Window.WINDOW_MONTH, Window.WINDOW_TOTAL
TENANT, KEY = Scope.SCOPE_TENANT, Scope.SCOPE_KEY


def _status(limit: int, spent: int = 0, reserved: int = 0, scope: Scope = TENANT) -> BudgetStatus:
    return BudgetStatus(
        budget=Budget(scope=scope, window=DAY, limit_microusd=limit),
        spent_microusd=spent,
        reserved_microusd=reserved,
    )


@pytest.mark.parametrize(
    ("window", "day", "first", "end"),
    [
        (DAY, "2026-11-20", "2026-11-20", datetime(2026, 11, 21, tzinfo=UTC)),
        (DAY, "2026-12-31", "2026-12-31", datetime(2027, 1, 1, tzinfo=UTC)),
        (DAY, "2028-02-28", "2028-02-28", datetime(2028, 2, 29, tzinfo=UTC)),
        (MONTH, "2026-11-20", "2026-11-01", datetime(2026, 12, 1, tzinfo=UTC)),
        (MONTH, "2026-12-31", "2026-12-01", datetime(2027, 1, 1, tzinfo=UTC)),
        (TOTAL, "2026-11-20", "", None),
    ],
)
def test_windows_are_of_the_calendar_in_utc(
    window: Window, day: str, first: str, end: datetime | None
) -> None:
    assert budget.first_day(window, day) == first
    assert budget.resets_at(window, day) == end


@pytest.mark.parametrize(
    ("asked", "denied_limit", "may_free"),
    [
        ([(_status(100, 60, 40), 0)], None, None),  # what costs nothing is never denied
        ([(_status(100, 60, 30), 10)], None, None),  # to the last micro-dollar
        ([(_status(100, 60, 30), 11)], 100, True),  # 30 may come back
        ([(_status(100, 60, 30), 40)], 100, True),  # if all of it comes back, just so
        ([(_status(100, 90, 5), 11)], 100, False),  # even all of it would not do
        ([(_status(100, 0, 95), 10), (_status(200, 0, 199), 10)], 200, True),  # the tighter one
        ([(_status(100, 0, 95), 10), (_status(200, 195, 0), 10)], 200, False),  # the hopeless one
        ([(_status(100, 0, 95), 10), (_status(200, 0, 0), 10)], 100, True),  # only what lacks room
        ([(_status(0), 1)], 0, False),  # a limit of zero stops all spending
        ([(_status(100, 130), 1)], 100, False),  # after an overrun
    ],
)
def test_a_denial_names_the_limit_that_stands_in_the_way(
    asked: list[tuple[BudgetStatus, int]], denied_limit: int | None, may_free: bool | None
) -> None:
    denied = budget.denial(asked)
    if denied_limit is None:
        assert denied is None
    else:
        assert denied is not None
        assert (denied.budget.budget.limit_microusd, denied.may_free) == (denied_limit, may_free)
        assert denied.wanted_microusd == asked[0][1]


def test_every_tenant_has_a_daily_budget_until_it_sets_its_own() -> None:
    monthly = Budget(scope=TENANT, window=MONTH, limit_microusd=7)
    key_daily = Budget(scope=KEY, scope_id="k", window=DAY, limit_microusd=8)
    daily = Budget(scope=TENANT, window=DAY, limit_microusd=9)
    default = Budget(scope=TENANT, window=DAY, limit_microusd=25)
    assert budget.in_force([], 25) == [default]
    assert budget.in_force([monthly, key_daily], 25) == [monthly, key_daily, default]
    assert budget.in_force([daily], 25) == [daily]


@pytest.mark.parametrize("wrong", [Budget(scope=TENANT, scope_id="k"), Budget(scope=KEY)])
def test_a_budgets_id_must_fit_its_scope(wrong: Budget) -> None:
    with pytest.raises(MalhaError) as refusal:
        budget.check(wrong)
    assert refusal.value.violations[0][0] == "budget.scope_id"


def test_room_is_kept_for_a_run_until_it_is_over_or_not_heard_of() -> None:
    open_runs, here = OpenRuns(seconds=1.0), Account("t", TENANT, "")
    open_runs.keep("a", [here], 30, now=0.0)
    open_runs.keep("b", [here], 5, now=0.0)
    open_runs.keep("a", [here], 20, now=0.5)  # in place of the 30
    assert open_runs.kept(here, now=0.9) == 25
    assert open_runs.kept(here, now=1.0) == 20  # b was not heard of
    open_runs.close("a")
    assert open_runs.kept(here, now=1.0) is None
    assert open_runs.kept(Account("other", TENANT, ""), now=0.0) is None


def test_nothing_is_remembered_of_runs_that_are_gone() -> None:
    open_runs = OpenRuns(seconds=1.0)
    for number in range(1000):
        account = Account(f"t{number}", TENANT, "")
        open_runs.keep(f"r{number}", [account], 7, now=0.0)
        assert open_runs.kept(account, now=2.0) is None
    assert not (open_runs._rooms)
    assert not (open_runs._kept)
    assert not (open_runs._runs)
