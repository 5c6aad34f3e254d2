"""Every scope bounds, in every window; all or nothing; and who is short of money may be shortened."""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest

from malha.api.common.v1.principal_pb2 import Tier
from malha.api.cost.v1.budget_pb2 import Budget, BudgetPolicy, Level, Scope, Window
from malha.api.cost.v1.cost_service_pb2 import Component
from malha.errors import ErrorReason, MalhaError
from malha.testing.clock import FakeClock
from malha.testing.money import Till, call, free, limit, release, tool, used
from malha_cost.authorization import Known
from malha_cost.budget import Who
from malha_cost.judge import Judge
from malha_cost.ports import Ledger

ORGANISATION, USER, SESSION = Scope.SCOPE_ORGANISATION, Scope.SCOPE_USER, Scope.SCOPE_SESSION
REQUEST, RUN = Scope.SCOPE_REQUEST, Scope.SCOPE_RUN
MINUTE, DAY, MONTH, TOTAL = (
    Window.WINDOW_MINUTE,
    Window.WINDOW_DAY,
    Window.WINDOW_MONTH,
    Window.WINDOW_TOTAL,
)


async def wide(till: Till) -> None:
    """Let the tenant's own daily budget stand in nobody's way."""
    await till.judge.set_budget(till.principal, limit(10**9))


async def policy(judge: Judge, till: Till, **fields: Any) -> BudgetPolicy:
    return await judge.set_policy(till.principal, BudgetPolicy(**fields), operator=True)


async def test_a_user_is_bound_whichever_key_it_comes_with(judge: Judge) -> None:
    one, other = Till(judge, key="key-1", user="ana@x"), Till(judge, key="key-2", user="ana@x")
    stranger = Till(judge, key="key-1", user="bia@x")
    await judge.set_budget(one.principal, limit(100, scope=USER, key="ana@x"))
    await one.spend("k", 60)
    denied = (await other.reserve(call("n", 41, run="s"))).denied
    assert (denied.budget.budget.scope, denied.budget.spent_microusd) == (USER, 60)
    assert (await stranger.reserve(call("n", 41, run="s"))).reserved
    assert await other.under(USER) == (60, 0)


async def test_a_budget_for_each_user_bounds_each_by_itself(judge: Judge) -> None:
    ana, bia = Till(judge, user="ana"), Till(judge, user="bia")
    await judge.set_budget(ana.principal, limit(100, scope=USER, key="*"))
    await ana.spend("k", 100, run="r1")
    assert (await ana.reserve(call("n", 1, run="r2"))).denied.budget.budget.scope == USER
    assert (await bia.reserve(call("m", 100, run="r3"))).reserved


async def test_a_session_is_bound_over_its_runs(till: Till) -> None:
    await till.judge.set_budget(till.principal, limit(100, scope=SESSION, key="*", window=TOTAL))
    await till.reserve(call("k", 60, run="r1", session="chat"))
    assert (await till.reserve(call("n", 41, run="r2", session="chat"))).denied.budget.budget.scope == SESSION
    assert (await till.reserve(call("n", 41, run="r2", session="another"))).reserved
    assert (await till.reserve(call("m", 41, run="r3"))).reserved, "no session, no session's limit"


async def test_what_one_call_may_be_reserved_at_is_bound(judge: Judge, till: Till) -> None:
    await wide(till)
    assert (await till.reserve(call("k", 500_001))).denied.budget.budget.scope == REQUEST
    assert (await till.reserve(call("k", 500_000))).reserved
    await judge.set_budget(till.principal, limit(70, scope=REQUEST, window=TOTAL))
    denied = (await till.reserve(call("n", 50), call("m", 71))).denied
    assert (denied.budget.budget.limit_microusd, denied.wanted_microusd, denied.may_free) == (70, 71, False)
    assert (await till.reserve(call("n", 50), call("m", 70))).reserved


async def test_an_organisation_bounds_its_tenants_together(judge: Judge) -> None:
    ana, bia, eva = Till(judge, "ana"), Till(judge, "bia"), Till(judge, "eva")
    for till in (ana, bia):
        assert (await policy(judge, till, organisation="acme")).organisation == "acme"
    await judge.set_budget(ana.principal, limit(1500, scope=ORGANISATION))
    await ana.spend("k", 900)
    denied = (await bia.reserve(call("k", 601))).denied
    assert (denied.budget.budget.scope, denied.budget.spent_microusd) == (ORGANISATION, 900)
    assert (await bia.reserve(call("k", 600))).reserved
    assert (await eva.reserve(call("k", 1000))).reserved
    assert await bia.under(ORGANISATION) == await ana.under(ORGANISATION) == (900, 600)
    with pytest.raises(MalhaError) as refusal:
        await judge.set_budget(eva.principal, limit(1, scope=ORGANISATION))
    assert refusal.value.violations[0][0] == "budget.scope"


async def test_an_organisations_limit_is_in_force_for_the_tenant_that_sets_it_though_it_is_moved_meanwhile(
    book: Ledger, judge: Judge, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    await policy(judge, till, organisation="left")
    look = book.standing

    async def look_and_move_on(who: Who, now: datetime) -> Known:
        known = await look(who, now)
        await policy(judge, till, organisation="joined")
        return known

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(book, "standing", look_and_move_on)
        await judge.set_budget(till.principal, limit(7, scope=ORGANISATION))
    assert limit(7, scope=ORGANISATION) in await till.limits()


async def test_a_tenant_for_each_run_bounds_runs_below_what_they_ask(till: Till) -> None:
    await till.judge.set_budget(till.principal, limit(50, scope=RUN, key="*", window=TOTAL))
    assert (await till.reserve(call("k", 51))).denied.budget.budget.scope == RUN
    assert (await till.reserve(call("k", 50))).reserved
    assert (await till.reserve(call("n", 21, run="s", limit=20))).denied.budget.budget.limit_microusd == 20


async def test_a_minute_starts_anew_with_every_minute(till: Till, clock: FakeClock) -> None:
    await till.judge.set_budget(till.principal, limit(100, window=MINUTE))
    await till.spend("k", 80)
    denied = (await till.reserve(call("n", 21))).denied
    assert denied.budget.budget.window == MINUTE
    assert denied.budget.resets_at.ToDatetime(UTC) == datetime(2026, 1, 15, 12, 1, tzinfo=UTC)
    clock.advance(60)
    assert (await till.reserve(call("n", 100))).reserved
    clock.advance(60)
    assert await till.settle(used("n", 100)) == [100]
    assert await till.under(Scope.SCOPE_TENANT, MINUTE) == (0, 0), "it counts in its own minute"


async def test_a_rolling_day_forgets_hour_by_hour(till: Till, clock: FakeClock) -> None:
    await till.judge.set_budget(till.principal, limit(100, rolling=True, key="key-1"))
    await till.spend("k", 60)
    clock.advance(20 * 3600)  # tomorrow, by the calendar
    denied = (await till.reserve(call("n", 41))).denied
    assert (denied.budget.budget.rolling, denied.budget.spent_microusd) == (True, 60)
    assert (await till.reserve(call("m", 40))).reserved
    clock.advance(5 * 3600)
    assert (await till.reserve(call("n", 60))).reserved, "a day ago is gone"
    assert (await till.reserve(call("o", 1))).HasField("denied")


@pytest.mark.parametrize("window", [MINUTE, DAY])
@pytest.mark.parametrize("settled_alone", [True, False])
async def test_what_a_tool_cost_that_was_called_as_free_counts_in_a_rolling_window_too(
    till: Till, window: Window, settled_alone: bool
) -> None:
    """Its price may have come between the offer and the call."""
    await till.judge.set_budget(till.principal, limit(100, rolling=True, window=window))
    await till.judge.set_budget(
        till.principal, limit(90, rolling=True, window=window, key="s", scope=Scope.SCOPE_SESSION)
    )
    used_as_free = free("free")
    used_as_free.amount_microusd, used_as_free.free.session_id = 40, "s"
    if settled_alone:
        await till.settle(used_as_free)
    else:
        assert (await till.reserve(call("other", 60), settle=[used_as_free])).reserved
        await till.settle(used("other", 0))
    assert await till.under(Scope.SCOPE_TENANT, window) == (40, 0)
    denied = (await till.reserve(call("k", 60, session="s"))).denied
    assert (denied.budget.budget.scope, denied.budget.spent_microusd) == (Scope.SCOPE_SESSION, 40)
    assert (await till.reserve(call("k", 60))).reserved


@pytest.mark.parametrize("window", [MINUTE, DAY])
async def test_a_rolling_window_counts_what_came_in_by_a_clock_that_is_ahead(
    till: Till, clock: FakeClock, window: Window
) -> None:
    await till.judge.set_budget(till.principal, limit(100, rolling=True, window=window, key="key-1"))
    await till.spend("k", 100)
    clock.advance(-0.1)  # another process, in the slot before
    assert (await till.reserve(call("n", 1))).denied.budget.spent_microusd == 100


async def test_a_day_ends_at_midnight_in_the_tenants_time_zone(
    judge: Judge, till: Till, clock: FakeClock
) -> None:
    await policy(judge, till, time_zone="America/Sao_Paulo")  # noon in UTC, nine o'clock there
    await till.spend("k", 1000)
    clock.advance(14 * 3600)  # two o'clock of the 16th in UTC, eleven in the evening there
    denied = (await till.reserve(call("n", 1))).denied
    assert denied.budget.resets_at.ToDatetime(UTC) == datetime(2026, 1, 16, 3, tzinfo=UTC)
    clock.advance(3600)
    assert (await till.reserve(call("n", 1000))).reserved


async def test_one_scope_without_room_leaves_nothing_in_any(judge: Judge) -> None:
    till = Till(judge, user="ana")
    await policy(judge, till, organisation="acme")
    scopes = [
        limit(900),
        limit(900, key="key-1"),
        limit(900, scope=USER, key="ana"),
        limit(900, scope=ORGANISATION),
    ]
    for budget in scopes:
        await judge.set_budget(till.principal, budget)
    for tight in scopes:
        lowered = Budget()
        lowered.CopyFrom(tight)
        lowered.limit_microusd = 99
        await judge.set_budget(till.principal, lowered)
        denied = (await till.reserve(call("k", 50), call("n", 50))).denied
        assert denied.budget.budget.scope == tight.scope
        for scope in (Scope.SCOPE_TENANT, Scope.SCOPE_KEY, USER, ORGANISATION):
            assert await till.under(scope) == (0, 0)
        await judge.set_budget(till.principal, tight)
    assert (await till.reserve(call("k", 50), call("n", 50))).reserved
    for scope in (Scope.SCOPE_TENANT, Scope.SCOPE_KEY, USER, ORGANISATION):
        assert await till.under(scope) == (0, 100)


async def test_the_brake_stops_runs_that_have_not_begun_and_lets_started_ones_finish(
    judge: Judge, till: Till
) -> None:
    assert (await policy(judge, till, brake_percent=95)).warn_percent == 80
    await till.spend("old/1", 949, run="old")
    assert (await till.reserve(call("new/1", 1, run="new"))).reserved
    await till.settle(used("new/1", 1))
    denied = (await till.reserve(call("newer/1", 1, run="newer"))).denied
    assert (denied.braked, denied.may_free, denied.budget.level) == (True, False, Level.LEVEL_BRAKED)
    assert (await till.reserve(call("old/2", 50, run="old"))).reserved, "within the limit"
    assert (await till.reserve(call("old/3", 1, run="old"))).HasField("denied")


async def test_a_run_whose_calls_cost_nothing_has_begun_for_the_brake_too(judge: Judge, till: Till) -> None:
    await policy(judge, till, brake_percent=95)
    offline = call("asks/1", 10, run="asks", model="extractive")
    offline.model.provider = "offline"
    assert (await till.reserve(offline)).reserved
    await till.spend("rich/1", 950, run="rich")
    assert (await till.reserve(call("new/1", 1, run="new"))).denied.braked
    paid = await till.reserve(call("uses/1", 1), settle=[free("uses/0")])
    assert paid.reserved, "its first call is over in this very request"
    assert (await till.reserve(call("asks/2", 1, run="asks"))).reserved, "its first call is under way"
    await till.settle(used("asks/1", 10), used("asks/2", 0))
    assert (await till.reserve(call("asks/3", 1, run="asks"))).reserved, "its calls are over"


async def test_a_policy_may_stop_started_runs_too(judge: Judge, till: Till) -> None:
    await policy(judge, till, brake_percent=90, stop_started_runs=True)
    await till.spend("old/1", 900, run="old")
    assert (await till.reserve(call("old/2", 1, run="old"))).denied.braked
    await policy(judge, till, brake_percent=91, stop_started_runs=True)
    assert (await till.reserve(call("old/2", 1, run="old"))).reserved, "a policy holds from the next call on"


async def test_a_short_purse_shortens_the_answer_of_a_call_that_allows_it(till: Till) -> None:
    await till.reserve(call("k", 700))
    answer = await till.reserve(call("n", 100, output=50, shortest=5))
    assert [(r.amount_microusd, r.max_output_tokens) for r in answer.reserved] == [(300, 20)]
    assert await till.reserve(call("n", 100, output=50, shortest=5)) == answer, "asked again"
    assert await till.standing() == (0, 1000)
    await till.settle(release("n"))
    denied = (await till.reserve(call("m", 100, output=50, shortest=21))).denied
    assert (denied.may_free, denied.fitting_output_tokens) == (True, 20)
    denied = (await till.reserve(call("m", 100, output=50))).denied
    assert denied.fitting_output_tokens == 20, "told to those who did not ask for it, too"
    assert (await till.reserve(call("m", 301, output=5, shortest=1))).denied.fitting_output_tokens == 0


async def test_no_call_is_shortened_past_the_brake(judge: Judge, till: Till) -> None:
    await policy(judge, till, brake_percent=95)
    await till.spend("old", 960, run="old")
    denied = (await till.reserve(call("new", 30, output=50, shortest=1, run="new"))).denied
    assert denied.braked
    assert (await till.reserve(call("old/2", 30, output=50, shortest=1, run="old"))).reserved


async def test_a_quota_of_tokens_is_a_ceiling_as_money_is(judge: Judge, clock: FakeClock) -> None:
    till = Till(judge, tier=Tier.TIER_FREE)
    await wide(till)
    await till.reserve(call("k", 6000, run="r1"))
    denied = (await till.reserve(call("n", 4001, run="r2"))).denied
    assert (denied.quota.limit_tokens, denied.quota.reserved_tokens) == (10_000, 6000)
    assert (denied.wanted_tokens, denied.may_free) == (4001, True)
    assert denied.quota.resets_at.ToDatetime(UTC) == datetime(2026, 2, 1, tzinfo=UTC)
    await till.settle(used("k", 5999))
    assert (await till.reserve(call("n", 4001, run="r2"))).reserved
    assert (await till.reserve(call("m", 100, output=10, shortest=1, run="r3"))).HasField("denied")
    quota = (await judge.standing(till.principal)).quota
    assert (quota.used_tokens, quota.reserved_tokens) == (5999, 4001)
    clock.advance(31 * 86400)
    assert (await till.reserve(call("m", 100, run="r3"))).reserved


async def test_tokens_count_in_the_month_in_which_they_were_reserved(judge: Judge, clock: FakeClock) -> None:
    till = Till(judge, tier=Tier.TIER_FREE)
    await wide(till)
    clock.advance(17 * 86400 - 12 * 3600 - 1)  # a second before February
    await till.reserve(call("k", 9100, run="r1"))
    clock.advance(2)
    denied = (await till.reserve(call("n", 10_001, run="r2"), settle=[used("k", 100)])).denied
    assert (denied.quota.used_tokens, denied.quota.reserved_tokens) == (0, 0)
    assert (await till.reserve(call("n", 10_000, run="r2"))).reserved


async def test_a_tenants_own_quota_takes_the_place_of_its_tiers(judge: Judge) -> None:
    till = Till(judge)
    assert not (await judge.standing(till.principal)).HasField("quota")
    await policy(judge, till, monthly_tokens=100)
    assert (await till.reserve(call("k", 101))).denied.quota.limit_tokens == 100


async def test_only_an_operator_moves_a_tenant_or_its_quota(judge: Judge, till: Till) -> None:
    for wanted in (BudgetPolicy(organisation="acme"), BudgetPolicy(monthly_tokens=5)):
        with pytest.raises(MalhaError) as refusal:
            await judge.set_policy(till.principal, wanted, operator=False)
        assert refusal.value.reason == ErrorReason.ERROR_REASON_SCOPE_MISSING
    await policy(judge, till, organisation="acme")
    kept = BudgetPolicy(organisation="acme", warn_percent=50)
    assert (await judge.set_policy(till.principal, kept, operator=False)).warn_percent == 50


async def test_an_operators_word_is_not_lost_to_an_admins_at_the_same_moment(
    judge: Judge, till: Till
) -> None:
    async def admin() -> None:
        for _ in range(10):
            with contextlib.suppress(MalhaError):
                await judge.set_policy(
                    till.principal, BudgetPolicy(time_zone="Europe/Berlin"), operator=False
                )

    await asyncio.gather(admin(), policy(judge, till, organisation="acme", monthly_tokens=5), admin())
    kept = (await judge.standing(till.principal)).policy
    assert (kept.organisation, kept.monthly_tokens) == ("acme", 5)


@pytest.mark.parametrize("until", ["0001-01-01", "2026-02-30"])
async def test_usage_until_a_day_that_no_calendar_has_is_refused(till: Till, until: str) -> None:
    with pytest.raises(MalhaError) as refusal:
        await till.judge.usage(till.principal, "", until)
    assert refusal.value.violations[0][0] == "until"


async def test_a_component_is_priced_as_its_kind_is(till: Till) -> None:
    embedding = call("k", 100)
    embedding.component = Component.COMPONENT_EMBEDDING
    assert (await till.reserve(embedding)).reserved
    assert await till.settle(used("k", 40)) == [40]
    search = tool("n", 5)
    search.component = Component.COMPONENT_EMBEDDING
    error = await till.refused(search)
    assert error.violations[0][0] == "reserve[0].component"
