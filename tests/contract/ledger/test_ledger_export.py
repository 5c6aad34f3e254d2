"""What is billed: each entry once, under the same id and in the same bytes, wherever an export is cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malha.api.cost.v1.cost_service_pb2 import AdjustRequest, ExportUsageRequest, Settlement
from malha.api.cost.v1.metering_pb2 import MeteredUsage
from malha.errors import MalhaError
from malha.testing.clock import FakeClock
from malha.testing.ledgers import Book, PostgresShelf, SqliteBook
from malha.testing.money import Till, at_ceiling, call, release, tool, used
from malha_cost.accountant import Accountant
from malha_cost.budget import House
from malha_cost.judge import Judge
from malha_cost.prices import PriceTable

DAY_SECONDS = 86400


async def pages(
    accountant: Accountant,
    till: Till,
    sizes: Sequence[int] = (),
    *,
    after: int = 0,
    since: str = "",
    until: str = "",
) -> AsyncIterator[tuple[list[bytes], int]]:
    """Records as bytes, page by page to the end, each page of another size; and where it ended."""
    number, more = 0, True
    while more:
        size = sizes[number % len(sizes)] if sizes else 0
        asked = ExportUsageRequest(after=after, page_size=size, since=since, until=until)
        page = await accountant.export(till.principal, asked)
        yield [record.SerializeToString(deterministic=True) for record in page.records], page.next
        after, more, number = page.next, page.more, number + 1


async def exported(
    accountant: Accountant, till: Till, sizes: Sequence[int] = (), **asked: Any
) -> list[bytes]:
    """All records, in their order."""
    return [record async for page, _ in pages(accountant, till, sizes, **asked) for record in page]


def read(records: Sequence[bytes]) -> list[MeteredUsage]:
    return [MeteredUsage.FromString(record) for record in records]


async def test_what_was_used_is_told_and_what_was_only_reserved_or_released_is_not(
    accountant: Accountant, till: Till
) -> None:
    await till.reserve(call("k", 300), call("never", 5), call("open", 5))
    await till.settle(used("k", 120), release("never"))
    await till.reserve(tool("t", 50))
    await till.settle(Settlement(key="t", amount_microusd=0, saved_microusd=50))
    first, second = read(await exported(accountant, till))
    assert (first.sequence, first.kind, first.key, first.run_id) == (1, "settlement", "k", "r")
    assert (first.provider, first.model, first.input_tokens, first.amount_microusd) == (
        "scripted",
        "m",
        120,
        120,
    )
    assert first.time.ToDatetime(UTC) == datetime(2026, 1, 15, 12, tzinfo=UTC)
    assert (second.sequence, second.component, second.model, second.saved_microusd) == (2, "tool", "t", 50)


async def test_an_id_is_derived_from_the_entry_and_is_another_in_another_tenant(
    accountant: Accountant, till: Till
) -> None:
    await till.spend("k", 10)
    bia = Till(till.judge, "bia")
    await bia.spend("k", 10)
    [mine], [hers] = read(await exported(accountant, till)), read(await exported(accountant, bia))
    assert mine.id == "s7r2v26ro77ujos63niysuryy6crjtqe", "bills that were sent know it by this"
    assert hers.id != mine.id
    assert (hers.tenant, hers.sequence) == ("bia", 1)


async def test_what_is_found_out_later_is_a_record_of_its_own_and_rewrites_none(
    accountant: Accountant, judge: Judge, till: Till, clock: FakeClock
) -> None:
    await till.reserve(call("k", 300))
    await till.settle(at_ceiling("k"))
    before = await exported(accountant, till)
    clock.advance(DAY_SECONDS)
    await till.settle(used("k", 100))
    asked = AdjustRequest(id="1", key="k", amount_microusd=-30, reason="refund")
    await judge.adjust(till.principal, asked)
    after = await exported(accountant, till)
    assert after[:1] == before
    told = [(record.kind, record.day, record.amount_microusd) for record in read(after)]
    assert told == [
        ("provisional", "2026-01-15", 300),
        ("correction", "2026-01-15", -200),
        ("adjustment", "2026-01-15", -30),
    ]
    assert len({record.id for record in read(after)}) == 3


async def test_days_leave_out_records_and_no_place_to_go_on_from(
    accountant: Accountant, till: Till, clock: FakeClock
) -> None:
    await till.reserve(call("late", 5))
    for day in range(3):
        await till.spend(f"k{day}", day + 1)
        clock.advance(DAY_SECONDS)
    await till.settle(used("late", 5))
    of_two = read(await exported(accountant, till, (1,), since="2026-01-15", until="2026-01-16"))
    assert [(record.key, record.sequence) for record in of_two] == [("k0", 1), ("k1", 2), ("late", 4)]
    ends = [end async for _, end in pages(accountant, till, since="2026-01-17", until="2026-01-17")]
    assert ends == [4]
    assert await exported(accountant, till, until="2026-01-14") == []
    with pytest.raises(MalhaError) as refusal:
        await exported(accountant, till, since="2026-02-30")
    assert refusal.value.violations[0][0] == "since"


async def test_going_on_from_a_place_that_was_never_reached_is_refused_as_it_would_leave_records_out(
    accountant: Accountant, till: Till
) -> None:
    await till.spend("k", 1)
    assert [end async for _, end in pages(accountant, till, after=1)] == [1]
    with pytest.raises(MalhaError) as refusal:
        await exported(accountant, Till(till.judge, "bia"), after=1)
    assert refusal.value.violations[0][0] == "after"


async def test_whoever_follows_while_several_processes_settle_misses_no_record(
    books: Book, clock: FakeClock
) -> None:
    house, prices = House(10**9, brake_percent=100), PriceTable([])
    ledger = await books.open(house)
    ledgers = [ledger, ledger if isinstance(books, SqliteBook) else await books.open(house)]
    accountant = Accountant(ledger, await books.usage(), prices, clock)
    tills = [Till(Judge(book, prices, reference=None, clock=clock)) for book in ledgers]
    keys = [f"r{number}/{place}" for place in range(2) for number in range(60)]

    async def spend(till: Till, key: str) -> None:
        run = key.partition("/")[0]
        await till.reserve(tool(key, 3, run=run))
        await till.settle(Settlement(key=key, amount_microusd=2))

    followed: list[bytes] = []
    settling = asyncio.gather(*(spend(tills[key.endswith("1")], key) for key in keys))
    place = 0
    while not settling.done():
        async for page, end in pages(accountant, tills[0], (7,), after=place):
            followed += page
            place = end
    await settling
    async for page, _ in pages(accountant, tills[0], after=place):
        followed += page
    assert followed == await exported(accountant, tills[0])
    assert [record.sequence for record in read(followed)] == list(range(1, 121))
    assert {record.key for record in read(followed)} == set(keys)


# What can happen to a ledger between two pages: a call of so much, settled in one of four ways.
CALLS = st.tuples(
    st.sampled_from(["ana", "bia"]),
    st.integers(0, 300),
    st.sampled_from(["settled", "released", "provisional", "corrected", "adjusted"]),
)


async def happen(till: Till, key: str, amount: int, how: str) -> int:
    """Let it happen; what is spent by it."""
    judge = till.judge
    assert isinstance(judge, Judge)
    await till.reserve(tool(key, 300, run=key))
    if how == "released":
        return (await till.settle(release(key)))[0]
    if how in ("provisional", "corrected"):
        await till.settle(at_ceiling(key))
    if how == "provisional":
        return 300
    [spent] = await till.settle(Settlement(key=key, amount_microusd=amount))
    if how == "adjusted":
        asked = AdjustRequest(id="1", key=key, amount_microusd=1 - amount or 7, reason="r")
        return await judge.adjust(till.principal, asked)
    return spent


async def cut_and_replayed(
    books: Book, rounds: Sequence[Sequence[tuple[str, int, str]]], sizes: Sequence[int], again: float
) -> None:
    """Export between rounds of what happens, go on where it ended, and begin once more in the middle."""
    clock = FakeClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
    ledger = await books.open(House(10**9, brake_percent=100))
    prices = PriceTable([])
    judge = Judge(ledger, prices, reference=None, clock=clock)
    accountant = Accountant(ledger, await books.usage(), prices, clock)
    spent = dict.fromkeys(("ana", "bia"), 0)
    seen: dict[str, list[bytes]] = {"ana": [], "bia": []}
    places = dict.fromkeys(spent, 0)
    for number, happening in enumerate(rounds):
        for place, (tenant, amount, how) in enumerate(happening):
            spent[tenant] += await happen(Till(judge, tenant), f"{number}-{place}", amount, how)
        clock.advance(DAY_SECONDS / 2)
        for tenant in spent:
            async for page, end in pages(accountant, Till(judge, tenant), sizes, after=places[tenant]):
                seen[tenant] += page
                places[tenant] = end
    for tenant, amount in spent.items():
        till = Till(judge, tenant)
        whole = await exported(accountant, till)
        assert seen[tenant] == whole
        assert sum(record.amount_microusd for record in read(whole)) == amount
        assert len({record.id for record in read(whole)}) == len(whole)
        middle = int(again * places[tenant])
        assert await exported(accountant, till, sizes, after=middle) == whole[middle:]


ROUNDS = st.lists(st.lists(CALLS, max_size=5), max_size=4)
SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=3)


@settings(max_examples=40, deadline=None)
@given(rounds=ROUNDS, sizes=SIZES, again=st.floats(0, 1))
def test_any_cut_and_any_replay_gives_the_same_records_and_they_sum_to_what_was_spent(
    rounds: list[list[tuple[str, int, str]]], sizes: list[int], again: float
) -> None:
    async def once() -> None:
        with TemporaryDirectory() as folder:
            book = SqliteBook(Path(folder))
            try:
                await cut_and_replayed(book, rounds, sizes, again)
            finally:
                await book.close()

    asyncio.run(once())


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_the_same_in_postgresql(shelf: PostgresShelf, data: st.DataObject) -> None:
    rounds, sizes, again = data.draw(ROUNDS), data.draw(SIZES), data.draw(st.floats(0, 1))

    async def once() -> None:
        async with AsyncExitStack() as stack:
            book = await stack.enter_async_context(shelf.book())
            await cut_and_replayed(book, rounds, sizes, again)

    asyncio.run(once())
