"""Budgets: hard in every scope and window, and who has begun goes first."""

from datetime import UTC, datetime

import pytest

from malha.api.cost.v1.budget_pb2 import Budget, BudgetStatus, Level, Scope, Window
from malha.errors import MalhaError
from malha.testing.clock import FakeClock
from malha.testing.money import Till, call, limit, used

DAY_SECONDS = 86400


async def test_a_denial_names_the_limit_what_stands_under_it_and_when_it_resets(till: Till) -> None:
    await till.spend("k", 500)
    await till.reserve(call("l", 300))
    denied = (await till.reserve(call("n", 201))).denied
    expected = BudgetStatus(budget=limit(1000), spent_microusd=500, reserved_microusd=300)
    expected.level = Level.LEVEL_OPEN
    expected.resets_at.FromDatetime(datetime(2026, 1, 16, tzinfo=UTC))
    assert denied.budget == expected
    assert (denied.wanted_microusd, denied.may_free) == (201, True)
    assert (await till.reserve(call("n", 501))).denied.may_free is False


async def test_a_denied_key_may_ask_again(till: Till) -> None:
    await till.reserve(call("k", 1000))
    assert (await till.reserve(call("n", 500))).HasField("denied")
    await till.settle(used("k", 500))
    assert (await till.reserve(call("n", 500))).reserved[0].amount_microusd == 500


async def test_a_run_has_a_limit_of_its_own_that_no_day_renews(till: Till, clock: FakeClock) -> None:
    await till.spend("k", 80)
    clock.advance(DAY_SECONDS)
    denied = (await till.reserve(call("n", 21, limit=100))).denied
    assert denied.budget.budget == Budget(
        scope=Scope.SCOPE_RUN, scope_id="r", window=Window.WINDOW_TOTAL, limit_microusd=100
    )
    assert not denied.budget.HasField("resets_at")
    assert denied.may_free is False
    assert (await till.reserve(call("n", 20, limit=100))).reserved
    assert (await till.reserve(call("o", 100, run="s", limit=100))).reserved


async def test_the_lowest_limit_a_run_is_given_in_a_request_holds_for_all_of_it(till: Till) -> None:
    for lowest_first in (True, False):
        asked = [call("a", 60, limit=100), call("b", 60, limit=500)]
        denied = (await till.reserve(*(asked if lowest_first else reversed(asked)))).denied
        assert denied.budget.budget.limit_microusd == 100
        assert denied.wanted_microusd == 120


async def test_a_key_and_its_tenant_both_bound_it(till: Till) -> None:
    await till.judge.set_budget(till.principal, limit(100, key="key-1"))
    other_key = Till(till.judge, key="key-2")
    assert (await till.reserve(call("k", 101))).denied.budget.budget.scope_id == "key-1"
    assert (await other_key.reserve(call("k", 950))).reserved
    assert (await till.reserve(call("n", 60))).denied.budget.budget.scope == Scope.SCOPE_TENANT


async def test_money_counts_in_the_window_it_was_reserved_in(till: Till, clock: FakeClock) -> None:
    await till.judge.set_budget(till.principal, limit(1500, window=Window.WINDOW_MONTH))
    await till.reserve(call("k", 1000))
    clock.advance(DAY_SECONDS)
    assert (await till.reserve(call("n", 500))).reserved, "yesterday's reservation is yesterday's"
    assert (await till.reserve(call("o", 1))).denied.budget.budget.window == Window.WINDOW_MONTH
    await till.settle(used("k", 900))
    assert await till.standing() == (0, 500)
    assert await till.standing(Window.WINDOW_MONTH) == (900, 500)
    clock.advance(31 * DAY_SECONDS)
    assert (await till.reserve(call("p", 500))).reserved, "a new month"


async def test_a_budget_knows_at_once_what_was_spent_before_it_was_set(till: Till, clock: FakeClock) -> None:
    for day in range(3):
        await till.spend(f"k{day}", 300)
        clock.advance(DAY_SECONDS)
    status = await till.judge.set_budget(till.principal, limit(1000, window=Window.WINDOW_TOTAL))
    assert (status.spent_microusd, status.reserved_microusd) == (900, 0)
    assert (await till.reserve(call("n", 101))).HasField("denied")
    assert (await till.reserve(call("n", 100))).reserved


async def test_a_lowered_limit_holds_from_the_next_reservation_on(till: Till) -> None:
    await till.reserve(call("k", 800))
    await till.judge.set_budget(till.principal, limit(500))
    assert (await till.reserve(call("n", 1))).HasField("denied")
    assert await till.settle(used("k", 800)) == [800]
    assert await till.standing() == (800, 0)


async def test_a_tenants_budget_is_its_own(till: Till) -> None:
    bia = Till(till.judge, tenant="bia")
    await bia.judge.set_budget(bia.principal, limit(5))
    await till.reserve(call("k", 1000))
    assert (await bia.reserve(call("k", 5))).reserved
    assert await till.limits() == [limit(1000)]


async def test_while_a_started_run_waits_a_new_one_does_not_take_its_money(till: Till) -> None:
    await till.spend("old/1", 200, run="old")
    await till.reserve(call("busy/1", 600, run="busy"))
    assert (await till.reserve(call("old/2", 400, run="old"))).denied.may_free
    denied = (await till.reserve(call("new/1", 50, run="new"))).denied
    assert denied.may_free, "there is room, but who has begun goes first"
    assert denied.budget.budget.scope == Scope.SCOPE_TENANT
    await till.settle(used("busy/1", 100))
    assert (await till.reserve(call("old/2", 400, run="old"))).reserved
    assert (await till.reserve(call("new/1", 50, run="new"))).reserved, "nobody waits any more"


async def test_a_started_run_that_stops_asking_is_soon_forgotten(till: Till, clock: FakeClock) -> None:
    await till.spend("old/1", 200, run="old")
    await till.reserve(call("busy/1", 600, run="busy"))
    await till.reserve(call("old/2", 400, run="old"))
    assert (await till.reserve(call("new/1", 50, run="new"))).HasField("denied")
    clock.advance(60.0)
    assert (await till.reserve(call("new/1", 50, run="new"))).reserved


async def test_started_runs_hold_up_neither_each_other_nor_other_tenants(till: Till) -> None:
    for run in ("a", "b"):
        await till.spend(f"{run}/1", 100, run=run)
    await till.reserve(call("busy/1", 600, run="busy"))
    assert (await till.reserve(call("a/2", 400, run="a"))).denied.may_free
    assert (await till.reserve(call("b/2", 100, run="b"))).reserved
    assert (await Till(till.judge, tenant="bia").reserve(call("n/1", 100, run="n"))).reserved


async def test_a_run_that_can_never_be_served_holds_up_nobody(till: Till) -> None:
    await till.spend("old/1", 700, run="old")
    assert (await till.reserve(call("old/2", 400, run="old"))).denied.may_free is False
    assert (await till.reserve(call("new/1", 50, run="new"))).reserved


async def test_usage_is_told_by_the_days_on_which_money_was_reserved(till: Till, clock: FakeClock) -> None:
    await till.spend("k", 300)
    await till.reserve(call("l", 100))
    clock.advance(2 * DAY_SECONDS)
    await till.spend("m", 7)
    await till.settle(used("l", 40))
    await Till(till.judge, "bia").spend("k", 5)

    async def told(since: str = "", until: str = "") -> list[tuple[str, int, int, int]]:
        days = await till.judge.usage(till.principal, since, until)
        return [(d.day, d.spent_microusd, d.reserved_microusd, d.used_tokens) for d in days]

    first, second = ("2026-01-15", 340, 0, 340), ("2026-01-17", 7, 0, 7)
    assert await told() == [first, second]
    assert await told("2026-01-16") == [second]
    assert await told(until="2026-01-16") == [first]
    for since, until, field in (
        ("2026-02-30", "", "since"),
        ("", "2026-13-01", "until"),
        ("2026-01-18", "", "since"),
        ("2020-01-01", "", "since"),
    ):
        with pytest.raises(MalhaError) as refusal:
            await told(since, until)
        assert refusal.value.violations[0][0] == field
