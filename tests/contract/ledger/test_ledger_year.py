"""A simulated year: what the ledger tells is what a second calculation says, to the micro-dollar."""

from datetime import UTC, date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from malha.api.cost.v1.budget_pb2 import BudgetPolicy
from malha.testing.bookkeeping import Books
from malha.testing.clock import FakeClock
from malha.testing.ledgers import Book, PostgresBook, SqliteBook
from malha.testing.money import PRICE_FILE, Till, call, limit, used
from malha.testing.simulated_year import TICK, ZONES, compared, live_through, planned, price_table, told
from malha_cost.adapters import postgres_audit, price_file, sqlite_audit
from malha_cost.budget import House
from malha_cost.judge import Judge
from malha_cost.windows import DAY, MONTH, ends, moment, span


async def test_a_year_comes_to_what_the_books_say_by_day_month_model_agent_and_key(
    books: Book, tmp_path: Path
) -> None:
    year = planned(seed=2024, calls=800)
    assert await live_through(year, books, price_table(tmp_path)) == []
    assert compared(year, await told(books)) == []
    kinds = [kind for kind, _, _ in year.totals()]
    assert kinds.count("day") > 300
    assert kinds.count("month") >= 4 * 12
    if isinstance(books, PostgresBook):
        audit = await postgres_audit.read(books.url)
    else:
        assert isinstance(books, SqliteBook)
        audit = sqlite_audit.read(books.path)
    assert (audit.off, audit.keys) == ([], 800)
    assert audit.overruns > 0


async def test_the_books_find_a_ledger_that_is_off_by_a_micro_dollar(books: Book, tmp_path: Path) -> None:
    year = planned(seed=1, calls=200)
    await live_through(year, books, price_table(tmp_path))
    found = await told(books)
    which = next(which for which in found if which[0] == "day")
    spent, held, tokens = found[which]
    found[which] = spent + 1, held, tokens
    [told_of] = compared(year, found)
    assert told_of.startswith(" ".join(which))


TURNS = [
    ("UTC", date(2024, 2, 29)),
    ("UTC", date(2025, 1, 1)),
    ("America/New_York", date(2024, 3, 10)),  # a day of 23 hours begins
    ("America/New_York", date(2024, 3, 11)),  # and ends
    ("America/New_York", date(2024, 11, 4)),  # after one of 25
    ("America/Santiago", date(2024, 4, 7)),  # the hour before midnight came twice
    ("America/Santiago", date(2024, 9, 8)),  # there is no midnight: the day begins at one
    ("America/Havana", date(2024, 11, 3)),  # midnight comes twice: the day begins with the first
    ("America/Sao_Paulo", date(2018, 2, 18)),
    ("America/Sao_Paulo", date(2018, 11, 4)),
    ("Pacific/Kiritimati", date(2024, 3, 1)),
]


@pytest.mark.parametrize(("zone", "day"), TURNS)
async def test_a_days_budget_is_used_up_until_its_last_microsecond_and_whole_in_the_next(
    books: Book, tmp_path: Path, zone: str, day: date
) -> None:
    begins = Books([], [], {"ana": zone}, set()).begins("ana", day)
    assert begins.astimezone(ZoneInfo(zone)).date() == day
    path = tmp_path / "prices.yaml"
    path.write_text(PRICE_FILE)
    clock = FakeClock(begins - timedelta(hours=1))
    ledger = await books.open(House(1_000, brake_percent=100))
    till = Till(Judge(ledger, price_file.load(path), reference=None, clock=clock))
    assert isinstance(till.judge, Judge)
    await till.judge.set_policy(till.principal, BudgetPolicy(time_zone=zone), operator=True)
    await till.judge.set_budget(till.principal, limit(1_000))
    await till.reserve(call("before", 100, output=80))
    clock.advance((begins - TICK - clock.now()).total_seconds())
    denied = (await till.reserve(call("late", 100, output=80))).denied
    assert denied.budget.resets_at.ToDatetime(UTC) == begins
    clock.advance(TICK.total_seconds())
    assert clock.now() == begins
    assert (await till.reserve(call("after", 100, output=80))).reserved
    await till.settle(used("before", 10))  # it counts where it was reserved
    assert (await till.standing())[0] == 0


@pytest.mark.parametrize("zone", [*ZONES.values(), "Asia/Beirut", "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_every_day_and_month_of_a_year_ends_where_the_next_begins(zone: str) -> None:
    books = Books([], [], {"ana": zone}, set())
    day = date(2024, 1, 1)
    while day < date(2025, 1, 2):
        begins, following = books.begins("ana", day), books.begins("ana", day + timedelta(days=1))
        month = books.begins("ana", (day.replace(day=28) + timedelta(days=4)).replace(day=1))
        for instant in (begins, following - TICK):
            assert moment(instant, zone).day == day.isoformat()
            assert ends(DAY, False, moment(instant, zone)) == following
            assert ends(MONTH, False, moment(instant, zone)) == month
        day += timedelta(days=1)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "America/Santiago", "Africa/Cairo"])
def test_a_rolling_month_lets_go_of_today_when_it_is_said_to_and_not_before(zone: str) -> None:
    """Also where the clocks are put back meanwhile, and today has just begun."""
    books = Books([], [], {"ana": zone}, set())
    day = date(2024, 1, 1)
    while day < date(2025, 1, 1):
        for instant in (books.begins("ana", day), books.begins("ana", day + timedelta(days=1)) - TICK):
            end = ends(MONTH, True, moment(instant, zone))
            assert end is not None
            assert span(MONTH, True, moment(end - TICK, zone)).since == day.isoformat()
            assert span(MONTH, True, moment(end, zone)).since > day.isoformat()
        day += timedelta(days=1)
