"""People are told once of a budget that comes to its end, whatever is asked again and whoever asks."""

from __future__ import annotations

import asyncio

import pytest

from malha.api.common.v1.principal_pb2 import Tier
from malha.api.cost.v1.budget_pb2 import BudgetPolicy, Scope, Window
from malha.api.event.v1.alert_pb2 import Alert
from malha.testing.clock import FakeClock
from malha.testing.ledgers import Book
from malha.testing.money import Till, call, limit, used
from malha_cost.authorization import Decision
from malha_cost.budget import House
from malha_cost.judge import Judge
from malha_cost.ports import Ledger
from malha_cost.prices import PriceTable
from malha_cost.spending import Findings, Hour, Run, RunSum

DAY_SECONDS = 86400


async def untold(books: Book) -> list[Alert]:
    return await books.alerts.untold(100)


async def types(books: Book) -> list[str]:
    return [alert.type for alert in await untold(books)]


async def test_each_mark_of_a_budget_is_told_once_and_with_what_stood_there(
    till: Till, judge: Judge, books: Book
) -> None:
    await judge.set_policy(till.principal, BudgetPolicy(brake_percent=95), operator=False)
    await till.spend("a", 799)
    await till.reserve(call("b", 1))
    assert await types(books) == []
    await till.settle(used("b", 1))
    for _ in range(2):
        await till.reserve(call("c", 150))
    assert await types(books) == ["budget_warned"]
    await till.reserve(call("d", 1), settle=[used("c", 150)])
    assert await types(books) == ["budget_warned", "budget_braked"]
    for _ in range(2):
        assert (await till.reserve(call("e", 100))).denied.may_free is False
    alerts = await untold(books)
    assert [alert.type for alert in alerts] == ["budget_warned", "budget_braked", "budget_stopped"]
    warned = alerts[0]
    assert (warned.tenant, warned.scope, warned.window, warned.limit_microusd) == (
        "ana",
        "tenant",
        "day",
        1000,
    )
    assert (warned.limit_microusd, warned.spent_microusd, warned.reserved_microusd) == (1000, 800, 0)
    assert len({alert.id for alert in alerts}) == 3


async def test_a_mark_is_stored_by_the_request_whose_settlements_passed_it(till: Till, books: Book) -> None:
    await till.reserve(call("a", 800))
    await till.reserve(call("b", 10), settle=[used("a", 800)])
    assert await types(books) == ["budget_warned"]


async def test_a_process_that_starts_anew_tells_nothing_again(
    till: Till, books: Book, prices: PriceTable, clock: FakeClock
) -> None:
    await till.spend("a", 900)
    await till.reserve(call("b", 10))
    [before] = await untold(books)
    again = Till(
        Judge(await books.open(House(1_000, brake_percent=100)), prices, reference=None, clock=clock)
    )
    await again.reserve(call("c", 10))
    assert await untold(books) == [before]


async def test_what_several_find_is_said_by_one_of_them(
    book: Ledger, books: Book, prices: PriceTable, clock: FakeClock
) -> None:
    said: list[str] = []

    def decided(decision: Decision) -> None:
        said.extend(alert.type for alert in decision.alerts)

    replicas = [Judge(book, prices, reference=None, clock=clock, decided=decided) for _ in range(2)]
    await Till(replicas[0]).spend("a", 900)
    for turn in range(2):
        await asyncio.gather(
            *(Till(judge).reserve(call(f"b{turn}{number}", 1)) for number, judge in enumerate(replicas))
        )
    assert said == await types(books) == ["budget_warned"]
    [alert] = await untold(books)
    hours = {Hour("ana", "a", 0): 1}
    runs = {Run("ana", "a", "r"): RunSum(1, 1, 1)}
    other = Alert(id="other", tenant="ana", type="spend_anomaly")
    assert await books.alerts.follow(Findings(None, 1, hours, runs, [alert, other])) == [other]
    assert await books.alerts.follow(Findings(None, 1, hours, runs, [alert])) is None, "another was first"


async def test_a_new_day_and_a_changed_limit_are_told_anew(till: Till, books: Book, clock: FakeClock) -> None:
    for day in range(2):
        await till.spend(f"a{day}", 900)
        await till.reserve(call(f"b{day}", 10))
        assert len(await types(books)) == day + 1
        clock.advance(DAY_SECONDS)
    await till.judge.set_budget(till.principal, limit(100))
    await till.spend("c", 85)
    await till.reserve(call("d", 1))
    assert len(await types(books)) == 3


async def test_a_window_that_rolls_tells_once_in_a_day_of_the_calendar(
    till: Till, books: Book, clock: FakeClock
) -> None:
    await till.judge.set_budget(till.principal, limit(100, rolling=True, scope=Scope.SCOPE_TENANT))
    await till.spend("a", 90)
    for hour in range(4):
        await till.reserve(call(f"b{hour}", 1))
        clock.advance(3600)
    assert [(alert.type, alert.rolling) for alert in await untold(books)] == [("budget_warned", True)]


async def test_what_only_waits_and_what_a_run_may_not_spend_alarms_nobody(till: Till, books: Book) -> None:
    await till.reserve(call("a", 700))
    assert (await till.reserve(call("b", 400))).denied.may_free
    assert (await till.reserve(call("c", 11, run="s", limit=10))).HasField("denied")
    assert await types(books) == []


async def test_a_quota_that_stops_somebody_is_told(judge: Judge, books: Book) -> None:
    till = Till(judge, tier=Tier.TIER_FREE)
    await till.judge.set_budget(till.principal, limit(10**6))
    await till.spend("a", 9_999)
    assert (await till.reserve(call("b", 2))).denied.HasField("quota")
    [alert] = await untold(books)
    assert (alert.type, alert.scope, alert.window) == ("budget_stopped", "quota", "month")
    assert (alert.limit_tokens, alert.used_tokens) == (10_000, 9_999)


async def test_a_tenant_hears_of_its_own_alone_and_of_an_organisation_nobody_is_told(
    till: Till, judge: Judge, books: Book
) -> None:
    bia = Till(till.judge, "bia")
    for one in (till, bia):
        policy = BudgetPolicy(organisation="acme", brake_percent=100)
        await judge.set_policy(one.principal, policy, operator=True)
    theirs = limit(100, scope=Scope.SCOPE_ORGANISATION, window=Window.WINDOW_MONTH)
    await till.judge.set_budget(till.principal, theirs)
    await till.spend("a", 85)
    await bia.reserve(call("b", 1, run="s"))
    assert await untold(books) == []
    assert await books.alerts.latest("bia", "", 10) == []
    [alert] = await books.alerts.latest("bia", "acme", 10)
    assert (alert.tenant, alert.scope, alert.scope_id) == ("", "organisation", "acme")
    assert await books.alerts.latest("bia", "other", 10) == []
    await bia.judge.set_budget(bia.principal, limit(10, key="key-1"))
    await bia.reserve(call("c", 11))
    assert [(one.tenant, one.scope_id) for one in await untold(books)] == [("bia", "key-1")]
    assert await books.alerts.latest("ana", "", 10) == []


async def test_what_was_announced_is_not_announced_again(till: Till, books: Book, clock: FakeClock) -> None:
    await till.spend("a", 900)
    await till.reserve(call("b", 10))
    [alert] = await untold(books)
    await books.alerts.told([("bia", alert.id)], clock.now())
    assert await untold(books) == [alert]
    for _ in range(2):
        await books.alerts.told([("ana", alert.id)], clock.now())
        assert await untold(books) == []
    assert await books.alerts.latest("ana", "", 10) == [alert]


@pytest.mark.parametrize("spent", [0, 799])
async def test_what_failed_leaves_no_alert(till: Till, books: Book, book: Ledger, spent: int) -> None:
    if spent:
        await till.spend("a", spent)
    await till.refused(call("b", 1), settle=[used("nothing", 1)])
    assert await types(books) == []


async def test_to_have_announced_nothing_changes_nothing(till: Till, books: Book, clock: FakeClock) -> None:
    await till.spend("a", 900)
    await till.reserve(call("b", 1))
    await books.alerts.told([], clock.now())
    assert await types(books) == ["budget_warned"]
