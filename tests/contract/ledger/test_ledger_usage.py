"""What was spent, grouped and reported: the same figures from both databases."""

from __future__ import annotations

import pytest

from malha.api.common.v1.usage_pb2 import Usage
from malha.api.cost.v1.cost_service_pb2 import AdjustRequest, Settlement
from malha.api.cost.v1.report_pb2 import QueryCost, Recommendation, Uncertain
from malha.api.cost.v1.usage_pb2 import UsageGroup
from malha.errors import MalhaError
from malha.testing.clock import FakeClock
from malha.testing.ledgers import Book
from malha.testing.money import Till, at_ceiling, call, limit, release, tool, used
from malha_cost.accountant import Accountant

DAY_SECONDS = 86400


async def spent(
    accountant: Accountant, till: Till, group: UsageGroup, since: str = "", *, everybody: bool = False
) -> list[tuple[str, int, int]]:
    """Name, calls and amount of each group."""
    rows = await accountant.usage(till.principal, group, since, "", everybody=everybody)
    return [(row.name, row.calls, row.amount_microusd) for row in rows]


@pytest.fixture
async def two_days(till: Till, clock: FakeClock) -> Till:
    """Two agents, a model, a tool; on the second day one more call; another tenant beside them."""
    await till.spend("k1", 300)
    other = call("k2", 200, output=10)
    other.agent, other.agent_version = "b", "2"
    await till.reserve(other)
    tokens = Usage(input_tokens=150, cached_input_tokens=50, output_tokens=4, reasoning_tokens=1)
    await till.settle(Settlement(key="k2", usage=tokens))
    await till.reserve(tool("t1", 50))
    await till.settle(Settlement(key="t1", amount_microusd=0, saved_microusd=50))
    await Till(till.judge, "bia").spend("k1", 9)
    clock.advance(DAY_SECONDS)
    await till.spend("k3", 7)
    await till.reserve(call("open", 500), call("never", 5))
    await till.settle(release("never"))
    return till


async def test_spending_is_grouped_the_dearest_first_and_what_is_held_or_released_is_no_spending(
    accountant: Accountant, two_days: Till
) -> None:
    assert await spent(accountant, two_days, UsageGroup.USAGE_GROUP_DAY) == [
        ("2026-01-15", 3, 445),
        ("2026-01-16", 1, 7),
    ]
    assert await spent(accountant, two_days, UsageGroup.USAGE_GROUP_AGENT) == [("a", 3, 307), ("b", 1, 145)]
    assert await spent(accountant, two_days, UsageGroup.USAGE_GROUP_MODEL) == [("scripted/m", 3, 452)]
    assert await spent(accountant, two_days, UsageGroup.USAGE_GROUP_TOOL) == [("t", 1, 0)]
    assert await spent(accountant, two_days, UsageGroup.USAGE_GROUP_COMPONENT) == [
        ("model", 3, 452),
        ("tool", 1, 0),
    ]
    assert await spent(accountant, two_days, UsageGroup.USAGE_GROUP_KEY) == [("key-1", 4, 452)]
    assert await spent(accountant, two_days, UsageGroup.USAGE_GROUP_AGENT, "2026-01-16") == [("a", 1, 7)]


async def test_a_row_has_its_tokens_its_version_what_was_saved_and_its_share(
    accountant: Accountant, two_days: Till
) -> None:
    _, row = await accountant.usage(two_days.principal, UsageGroup.USAGE_GROUP_AGENT, "", "")
    assert (row.name, row.version) == ("b", "2")
    assert (row.input_tokens, row.cached_input_tokens) == (150, 50)
    assert (row.output_tokens, row.reasoning_tokens) == (4, 1)
    assert row.share == pytest.approx(145 / 452)
    [tool_row] = await accountant.usage(two_days.principal, UsageGroup.USAGE_GROUP_TOOL, "", "")
    assert (tool_row.saved_microusd, tool_row.share) == (50, 0)


async def test_a_tenant_sees_its_own_spending_and_only_who_may_see_all_sees_more(
    accountant: Accountant, two_days: Till
) -> None:
    by_tenant = UsageGroup.USAGE_GROUP_TENANT
    assert await spent(accountant, two_days, by_tenant) == [("ana", 4, 452)]
    assert await spent(accountant, Till(two_days.judge, "bia"), by_tenant) == [("bia", 1, 9)]
    assert await spent(accountant, Till(two_days.judge, "cia"), by_tenant) == []
    assert await spent(accountant, two_days, by_tenant, everybody=True) == [("ana", 4, 452), ("bia", 1, 9)]


async def test_a_correction_and_an_adjustment_move_the_day_of_their_call_and_count_no_call(
    accountant: Accountant, till: Till, clock: FakeClock
) -> None:
    await till.reserve(call("k", 300))
    await till.settle(at_ceiling("k"))
    clock.advance(DAY_SECONDS)
    await till.settle(used("k", 100))
    asked = AdjustRequest(id="1", key="k", amount_microusd=-30, reason="refund")
    assert await till.judge.adjust(till.principal, asked) == 70  # type: ignore[attr-defined]  # a Judge
    [row] = await accountant.usage(till.principal, UsageGroup.USAGE_GROUP_DAY, "", "")
    assert (row.name, row.calls, row.input_tokens, row.amount_microusd) == ("2026-01-15", 1, 100, 70)


async def test_what_is_no_day_or_too_many_is_refused(accountant: Accountant, till: Till) -> None:
    for since in ("2026-02-30", "2026-01-16", "2020-01-01"):
        with pytest.raises(MalhaError) as refusal:
            await accountant.usage(till.principal, UsageGroup.USAGE_GROUP_KEY, since, "")
        assert refusal.value.violations[0][0] == "since"
    with pytest.raises(MalhaError) as refusal:
        await accountant.report(till.principal, "2026-02-30")
    assert refusal.value.violations[0][0] == "day"


async def test_a_report_says_what_was_spent_against_the_limit_and_the_day_before(
    accountant: Accountant, two_days: Till
) -> None:
    today = await accountant.report(two_days.principal, "")
    assert (today.day, today.spent_microusd, today.day_before_microusd) == ("2026-01-16", 7, 445)
    assert (today.limit_microusd, today.runs) == (1_000, 1)
    yesterday = await accountant.report(two_days.principal, "2026-01-15")
    assert (yesterday.spent_microusd, yesterday.day_before_microusd) == (445, 0)
    assert [row.name for row in yesterday.agents] == ["a", "b"]
    assert [row.name for row in yesterday.components] == ["model", "tool"]
    assert yesterday.savings.kept_answers_microusd == 50
    assert yesterday.savings.cached_input_microusd == 45, "50 tokens at 1.0 less 0.1"


async def test_a_day_without_a_call_has_a_report_that_recommends_nothing(
    accountant: Accountant, till: Till
) -> None:
    report = await accountant.report(till.principal, "0001-01-01")
    assert (report.spent_microusd, report.runs, list(report.recommendations)) == (0, 0, [])


async def test_a_run_costs_what_its_calls_cost_by_nearest_rank(accountant: Accountant, till: Till) -> None:
    for run, amount in enumerate((1, 2, 3, 100), 1):
        await till.spend(f"r{run}/1", amount, run=f"r{run}")
    await till.reserve(tool("r1/2", 40, run="r1"))
    await till.settle(Settlement(key="r1/2", amount_microusd=40))
    costs = (await accountant.report(till.principal, "")).query_costs
    assert list(costs) == [
        QueryCost(agent="a", component="", runs=4, average_microusd=37, p50_microusd=3, p95_microusd=100),
        QueryCost(
            agent="a", component="model", runs=4, average_microusd=27, p50_microusd=2, p95_microusd=100
        ),
        QueryCost(agent="a", component="tool", runs=1, average_microusd=40, p50_microusd=40, p95_microusd=40),
    ]


async def test_overruns_and_settlements_that_nobody_corrected_are_counted(
    accountant: Accountant, till: Till
) -> None:
    for key in ("over", "unknown", "corrected up", "corrected down"):
        await till.reserve(call(key, 100))
    await till.settle(used("over", 130), *map(at_ceiling, ("unknown", "corrected up", "corrected down")))
    await till.settle(used("corrected up", 105), used("corrected down", 10))
    report = await accountant.report(till.principal, "")
    assert report.uncertain == Uncertain(
        provisional_calls=1, provisional_microusd=100, overrun_calls=2, overrun_microusd=35
    )
    [advice] = [a for a in report.recommendations if a.kind == Recommendation.KIND_PROVISIONAL]
    assert (advice.subject, advice.saves_microusd) == ("a: scripted/m", 100)


async def test_input_that_came_again_in_a_run_and_was_paid_as_new_is_what_a_prompt_cache_would_save(
    accountant: Accountant, till: Till, clock: FakeClock
) -> None:
    prompts = [("r/1", 100, 0), ("r/2", 150, 20), ("r/3", 60, 60), ("s/1", 80, 0)]
    for key, tokens, cached in prompts:
        await till.reserve(call(key, tokens, run=key[0]))
        await till.settle(Settlement(key=key, usage=Usage(input_tokens=tokens, cached_input_tokens=cached)))
        clock.advance(1)
    report = await accountant.report(till.principal, "")
    [advice] = [a for a in report.recommendations if a.kind == Recommendation.KIND_PROMPT_CACHE]
    assert advice.saves_microusd == 80 * 9 // 10, "100 of the second prompt came again, 20 were cached"
    assert advice.arithmetic.startswith("80 input tokens came again")


async def stepped(till: Till, key: str, reserved: int, model: str = "m") -> None:
    """Reserve a call of a provider one of whose prices changes at a hundred tokens of input."""
    asked = call(key, reserved, run=key)
    asked.model.provider, asked.model.model = "stepped", model
    await till.reserve(asked)


async def test_what_a_providers_cache_saved_is_counted_at_the_rates_of_each_calls_length(
    accountant: Accountant, till: Till
) -> None:
    await till.judge.set_budget(till.principal, limit(10**6))
    for key, tokens, cached in (("short", 50, 40), ("long", 200, 100), ("corrected", 120, 60)):
        await stepped(till, key, 150 if key == "corrected" else tokens)
        if key == "corrected":
            await till.settle(at_ceiling(key))
        usage = Usage(input_tokens=tokens, cached_input_tokens=cached)
        await till.settle(Settlement(key=key, usage=usage))
    report = await accountant.report(till.principal, "")
    assert report.savings.cached_input_microusd == 20 + 180 + 108, "0.5 less for short calls, 1.8 for long"


async def test_a_provider_that_reports_absurd_usage_does_not_keep_the_day_from_being_reported(
    accountant: Accountant, till: Till
) -> None:
    await till.reserve(call("absurd", 100))
    tokens = 20_000_000_000  # times a rate, that passes 63 bits
    await till.settle(Settlement(key="absurd", usage=Usage(input_tokens=tokens, cached_input_tokens=tokens)))
    report = await accountant.report(till.principal, "")
    assert report.savings.cached_input_microusd == tokens * 9 // 10


async def test_no_model_is_recommended_that_the_days_longest_calls_would_make_dearer(
    accountant: Accountant, till: Till
) -> None:
    await till.judge.set_budget(till.principal, limit(10**6))
    for key, tokens in (("1", 50), ("2", 50), ("3", 50), ("4", 50), ("long", 300)):
        await stepped(till, key, tokens, "flat")
        await till.settle(Settlement(key=key, usage=Usage(input_tokens=tokens)))
    report = await accountant.report(till.principal, "")
    assert report.spent_microusd == 750
    assert list(report.recommendations) == [], "stepped/m would have cost 4 * 50 + 300 * 2"


async def test_what_the_database_sums_up_as_entries_come_is_what_they_add_up_to(
    two_days: Till, books: Book
) -> None:
    of_entries = (
        "SELECT CAST(sum(spent) AS BIGINT), CAST(sum(input_tokens) AS BIGINT), count(*) FROM entries"
        " WHERE kind IN ('settlement', 'provisional', 'correction', 'adjustment')"
    )
    [(amount, tokens, count)] = await books.rows(of_entries)
    of_usage = "SELECT CAST(sum(spent) AS BIGINT), CAST(sum(input_tokens) AS BIGINT) FROM usage"
    assert await books.rows(of_usage) == [(amount, tokens)]
    assert await books.rows("SELECT count(*) FROM metered") == [(count,)]
