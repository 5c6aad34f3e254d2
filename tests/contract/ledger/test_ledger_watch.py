"""The watch finds what no reservation comes after, hours unlike past ones, and runs unlike others."""

from __future__ import annotations

import pytest

from malha.api.event.v1.alert_pb2 import Alert
from malha.testing.clock import FakeClock
from malha.testing.ledgers import Book
from malha.testing.money import Till, call, limit, used
from malha_cost.alerts import Told
from malha_cost.ports import Ledger
from malha_cost.spending import RUNS, Findings, Hour, Run, RunSum
from malha_cost.unusual import Rule
from malha_cost.watching import BEHIND, Rules, Watch

HOUR, DAY = 3600, 86400
SOON = BEHIND.total_seconds() + 1
RULES = Rules(hour=Rule(3.5, 1_000, 7), run=Rule(5.0, 100, 5), calls=Rule(5.0, 10, 5))


@pytest.fixture
async def rich(till: Till) -> Till:
    """A tenant whose budget is in nobody's way."""
    await till.judge.set_budget(till.principal, limit(10**9))
    return till


@pytest.fixture
def watch(book: Ledger, books: Book, clock: FakeClock) -> Watch:
    return Watch(book, books.alerts, rules=RULES, told=Told(), clock=clock, every=1.0)


async def seen(watch: Watch, clock: FakeClock) -> None:
    """Let the watch come up to now."""
    clock.advance(SOON)
    while await watch.look():
        pass


async def found(books: Book) -> list[Alert]:
    return await books.alerts.untold(100)


async def test_a_mark_that_a_last_settlement_passed_is_found_soon_after(
    till: Till, books: Book, watch: Watch, clock: FakeClock
) -> None:
    await till.spend("a", 900)
    assert await found(books) == []
    for _ in range(2):
        await seen(watch, clock)
        assert [alert.type for alert in await found(books)] == ["budget_warned"]
    await till.reserve(call("b", 10))
    assert len(await found(books)) == 1, "whoever else finds it finds it told"


async def test_a_budget_that_is_used_up_to_the_last_is_said_to_stop_people_before_anything_more_is_asked(
    till: Till, books: Book, watch: Watch, clock: FakeClock
) -> None:
    await till.spend("a", 1_000)
    await seen(watch, clock)
    assert [alert.type for alert in await found(books)] == ["budget_warned", "budget_stopped"]


async def test_an_hour_unlike_the_same_hour_of_past_days_is_told_once(
    rich: Till, books: Book, watch: Watch, clock: FakeClock
) -> None:
    for day in range(8):
        await rich.spend(f"d{day}", 2_000 + day)
        await seen(watch, clock)
        clock.advance(DAY - SOON)
    await rich.spend("as-ever", 2_100)
    await seen(watch, clock)
    assert await found(books) == []
    for number in range(2):
        await rich.spend(f"e{number}", 4_000)
        await seen(watch, clock)
    [alert] = await found(books)
    assert (alert.tenant, alert.type, alert.agent) == ("ana", "spend_anomaly", "")
    assert (alert.spent_microusd, alert.usual_microusd) == (6_100, 2_004)
    assert alert.hour.ToDatetime().isoformat() == "2026-01-23T12:00:00"
    clock.advance(5 * HOUR)
    await rich.spend("later", 4_000)
    await seen(watch, clock)
    assert len(await found(books)) == 2, "an hour in which nothing was ever spent"


async def test_what_is_spent_in_an_hours_last_moment_is_judged_with_its_hour(
    rich: Till, books: Book, watch: Watch, clock: FakeClock
) -> None:
    clock.advance(HOUR - 2)
    for day in range(8):
        await rich.spend(f"d{day}", 2_000 + day)
        await seen(watch, clock)
        clock.advance(DAY - SOON)
    await rich.spend("burst", 9_000)
    await seen(watch, clock)
    [alert] = await found(books)
    assert (alert.type, alert.spent_microusd) == ("spend_anomaly", 9_000)
    assert alert.hour.ToDatetime().isoformat() == "2026-01-23T12:00:00"


async def test_another_tenants_past_makes_nothing_unusual(
    rich: Till, books: Book, watch: Watch, clock: FakeClock
) -> None:
    for day in range(8):
        await rich.spend(f"d{day}", 10, run=f"r{day}")
        clock.advance(DAY)
    bia = Till(rich.judge, "bia")
    await bia.judge.set_budget(bia.principal, limit(10**9))
    await bia.spend("a", 9_000)
    await seen(watch, clock)
    assert await found(books) == []


async def test_a_run_unlike_its_agents_others_is_told_once(
    rich: Till, books: Book, watch: Watch, clock: FakeClock
) -> None:
    for run in range(6):
        await rich.spend(f"r{run}", 50 + run, run=f"r{run}")
    await seen(watch, clock)
    for step in range(3):
        await rich.spend(f"wild/{step}", 60, run="wild")
        await seen(watch, clock)
    [alert] = await found(books)
    assert (alert.type, alert.run_id, alert.agent) == ("runaway_run", "wild", "a")
    assert (alert.spent_microusd, alert.usual_microusd) == (180, 53)
    await rich.spend("wild/4", 60, run="wild")
    await seen(watch, clock)
    assert len(await found(books)) == 1


async def test_a_run_of_far_more_calls_than_others_is_told_though_they_are_cheap(
    rich: Till, books: Book, watch: Watch, clock: FakeClock
) -> None:
    for run in range(6):
        await rich.spend(f"r{run}", 1, run=f"r{run}")
    await seen(watch, clock)
    for step in range(10):
        await rich.spend(f"busy/{step}", 1, run="busy")
    await seen(watch, clock)
    [alert] = await found(books)
    assert (alert.run_id, alert.calls, alert.usual_calls) == ("busy", 10, 1)


async def test_a_run_whose_agent_has_hundreds_of_others_at_a_time_is_known_as_one_run(
    rich: Till, books: Book, watch: Watch, clock: FakeClock
) -> None:
    for step in range(8):
        await rich.spend(f"busy/{step}", 1, run="busy")
    await seen(watch, clock)
    [(at_us,)] = await books.rows("SELECT at_us FROM watched")
    others = {Run("ana", "a", f"r{n}"): RunSum(2, 1, at_us + 1 + n) for n in range(2 * RUNS)}
    sums = Findings(at_us, at_us + 2 * RUNS, {Hour("ana", "a", 0): 1}, others, [])
    assert await books.alerts.follow(sums) == []
    for step in range(8, 12):
        await rich.spend(f"busy/{step}", 1, run="busy")
    await seen(watch, clock)
    [alert] = await found(books)
    assert (alert.run_id, alert.calls, alert.usual_calls) == ("busy", 12, 1)


async def test_two_watches_count_nothing_twice_and_a_new_one_goes_on(
    rich: Till, books: Book, book: Ledger, clock: FakeClock
) -> None:
    watches = [Watch(book, books.alerts, rules=RULES, told=Told(), clock=clock, every=1.0) for _ in range(2)]
    for step in range(5):
        await rich.spend(f"k{step}", 7)
        await seen(watches[step % 2], clock)
    sums = "SELECT agent, spent FROM hourly_spending ORDER BY agent"
    assert await books.rows(sums) == [("", 35), ("a", 35)]
    assert await books.rows("SELECT run_id, spent, calls FROM run_spending") == [("r", 35, 5)]


async def test_more_than_is_taken_at_once_is_taken_whole(rich: Till, books: Book, clock: FakeClock) -> None:
    for step in range(3):  # at one moment, and so in one piece
        await rich.reserve(call(f"k{step}", 7))
    await rich.settle(*(used(f"k{step}", 7) for step in range(3)))
    clock.advance(1)
    await rich.spend("later", 7)
    batch = await books.alerts.spent(clock.now(), limit=2)
    assert [one.spent for one in batch.spent] == [7, 7, 7]


async def test_what_is_long_past_teaches_and_alarms_nobody(
    rich: Till, books: Book, watch: Watch, clock: FakeClock
) -> None:
    for run in range(6):
        await rich.spend(f"r{run}", 50, run=f"r{run}")
    await rich.spend("wild", 9_000, run="wild")
    clock.advance(DAY)
    await seen(watch, clock)
    assert await found(books) == []
    assert len(await books.rows("SELECT run_id FROM run_spending")) == 7


async def test_what_an_agent_spent_that_runs_no_more_is_forgotten_in_time(
    rich: Till, books: Book, watch: Watch, clock: FakeClock
) -> None:
    async def kept() -> list[tuple[object, ...]]:
        hours = await books.rows("SELECT agent, spent FROM hourly_spending ORDER BY agent, spent")
        return hours + await books.rows("SELECT agent, spent FROM run_spending ORDER BY agent")

    await rich.spend("old", 7)
    await seen(watch, clock)
    clock.advance(30 * DAY)
    other = call("new", 5)
    other.agent = "b"
    await rich.reserve(other)
    await rich.settle(used("new", 5))
    await seen(watch, clock)
    assert await kept() == [("", 5), ("b", 5), ("a", 7), ("b", 5)]
    clock.advance(340 * DAY)
    again = call("again", 3)
    again.agent = "b"
    await rich.reserve(again)
    await rich.settle(used("again", 3))
    await seen(watch, clock)
    assert await kept() == [("", 6), ("b", 6), ("b", 11)], "a price doubled since"
