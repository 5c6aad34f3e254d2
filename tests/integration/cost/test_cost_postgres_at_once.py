"""Many who ask one PostgreSQL at once: each decides on what the one before took, and none waits in vain."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from malha.api.cost.v1.budget_pb2 import BudgetPolicy, Scope, Window
from malha.api.cost.v1.cost_service_pb2 import AuthorizeResponse, ExportUsageRequest, Settlement
from malha.clock import SystemClock
from malha.testing.ledgers import PostgresBook
from malha.testing.money import Till, limit, tool
from malha.testing.postgres_sessions import session, till_of, until_waiting
from malha_cost.accountant import Accountant
from malha_cost.adapters import (
    postgres_ledger,
)
from malha_cost.budget import House
from malha_cost.judge import Judge
from malha_cost.prices import PriceTable


async def test_who_exports_while_a_commit_is_under_way_is_told_of_nothing_behind_it(
    postgres_book: PostgresBook,
) -> None:
    house, clock = House(10**6), SystemClock()
    ledgers = [await postgres_book.open(house) for _ in range(2)]
    first, second = (Till(Judge(of, PriceTable([]), reference=None, clock=clock)) for of in ledgers)
    accountant = Accountant(ledgers[0], await postgres_book.usage(), PriceTable([]), clock)
    await first.reserve(tool("first", 5), tool("second", 5))
    async with session(postgres_book.owner_url) as owner:
        await owner.execute("BEGIN; LOCK TABLE balances IN SHARE MODE")
        settling = []
        for count, (till, key) in enumerate(((first, "first"), (second, "second")), 1):
            settling.append(asyncio.create_task(till.settle(Settlement(key=key, amount_microusd=count))))
            await until_waiting(owner, count)
        page = await accountant.export(first.principal, ExportUsageRequest())
        assert (list(page.records), page.next) == ([], 0)
        await owner.execute("ROLLBACK")
        await asyncio.gather(*settling)
    page = await accountant.export(first.principal, ExportUsageRequest())
    assert [(record.sequence, record.key) for record in page.records] == [(1, "first"), (2, "second")]


async def at_once(book: PostgresBook, tills: Sequence[Till]) -> list[AuthorizeResponse]:
    """What each till hears that asks for five while balances can be read and not moved: whoever need not wait
    decides on what stood before."""
    asking = []
    async with session(book.owner_url) as owner:
        await owner.execute("BEGIN; LOCK TABLE balances IN SHARE MODE")
        for count, till in enumerate(tills, 1):
            asking.append(asyncio.create_task(till.reserve(tool(f"k{count}", 5))))
            await until_waiting(owner, count)
        await owner.execute("ROLLBACK")
    return await asyncio.gather(*asking)


@pytest.mark.parametrize(
    ("tenants", "organisation"),
    [(("ana", "ana"), ""), (("ana", "bia"), "acme")],
    ids=["a tenant's", "an organisation's"],
)
async def test_of_two_processes_that_ask_at_once_for_what_pays_for_one_the_second_sees_what_the_first_took(
    postgres_book: PostgresBook, tenants: tuple[str, str], organisation: str
) -> None:
    ledgers = [await postgres_book.open(House(10**6)) for _ in tenants]
    judges = [Judge(ledger, PriceTable([]), reference=None, clock=SystemClock()) for ledger in ledgers]
    tills = [Till(judge, tenant) for judge, tenant in zip(judges, tenants, strict=True)]
    policy = BudgetPolicy(organisation=organisation)
    for judge, till in zip(judges, tills, strict=True):
        await judge.set_policy(till.principal, policy, operator=True)
    scope = Scope.SCOPE_ORGANISATION if organisation else Scope.SCOPE_TENANT
    total = limit(5, window=Window.WINDOW_TOTAL, scope=scope)
    await judges[0].set_budget(tills[0].principal, total)
    first, second = await at_once(postgres_book, tills)
    assert first.reserved
    assert second.denied.budget.budget.scope == scope


async def test_questions_that_are_decided_in_one_transaction_see_what_those_before_them_took(
    postgres_book: PostgresBook,
) -> None:
    till = await till_of(postgres_book)
    await till.judge.set_budget(till.principal, limit(11, window=Window.WINDOW_TOTAL))
    async with session(postgres_book.owner_url) as owner:
        await owner.execute("BEGIN; LOCK TABLE balances IN SHARE MODE")
        before = asyncio.create_task(till.reserve(tool("before", 1)))
        await until_waiting(owner, 1)
        together = [asyncio.create_task(till.reserve(tool(f"k{number}", 5))) for number in range(3)]
        await owner.execute("ROLLBACK")
    assert (await before).reserved
    answers = await asyncio.gather(*together)
    assert [bool(answer.reserved) for answer in answers] == [True, True, False]
    transactions = "SELECT count(*) FROM entries WHERE key <> 'before' GROUP BY xmin::text"
    assert await postgres_book.rows(transactions) == [(2,)]


async def test_tenants_that_swapped_organisations_do_not_wait_for_each_other_in_a_circle(
    postgres_book: PostgresBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each settles under the organisation it left, whose lock it has not, and reserves under the other."""
    monkeypatch.setattr(postgres_ledger, "_ATTEMPTS", 1)  # a circle that is broken is heard of
    ledgers = [await postgres_book.open(House(10**6)) for _ in range(2)]
    judges = [Judge(ledger, PriceTable([]), reference=None, clock=SystemClock()) for ledger in ledgers]
    tills = [Till(judge, tenant) for judge, tenant in zip(judges, ("ana", "bia"), strict=True)]

    async def belong(*organisations: str) -> None:
        for judge, till, name in zip(judges, tills, organisations, strict=True):
            await judge.set_policy(till.principal, BudgetPolicy(organisation=name), operator=True)

    await belong("acme", "umbra")
    for till in tills:
        await till.reserve(tool("old", 5, run="old"), tool("held", 5, run="new"))
    await belong("umbra", "acme")
    async with session(postgres_book.owner_url) as owner:
        await owner.execute("BEGIN; SELECT FROM balances WHERE scope_id = 'new' FOR UPDATE")
        asking = []
        for count, till in enumerate(tills, 1):
            settle = [Settlement(key="old", amount_microusd=5)]
            asking.append(asyncio.create_task(till.reserve(tool("new", 5, run="new"), settle=settle)))
            await until_waiting(owner, count)
        await owner.execute("ROLLBACK")
    assert all([(await one).reserved for one in asking])


async def test_how_a_database_isolates_by_default_is_not_how_the_ledger_is_isolated(
    postgres_book: PostgresBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one snapshot serves a transaction, it is older than the lock that was waited for."""
    monkeypatch.setattr(postgres_ledger, "_ATTEMPTS", 1)
    async with session(postgres_book.owner_url) as owner:
        name = await owner.fetchval("SELECT current_database()")
        await owner.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    ledgers = [await postgres_book.open(House(10**6)) for _ in range(2)]
    tills = [Till(Judge(of, PriceTable([]), reference=None, clock=SystemClock())) for of in ledgers]
    assert all(answer.reserved for answer in await at_once(postgres_book, tills))
    assert await tills[0].standing() == (0, 10)


async def test_however_many_wait_for_one_tenants_lock_another_tenants_money_is_reserved(
    postgres_book: PostgresBook,
) -> None:
    ledger = await postgres_book.open(House(10**6))
    ana, bia = (
        Till(Judge(ledger, PriceTable([]), reference=None, clock=SystemClock()), name)
        for name in ("ana", "bia")
    )
    lock = postgres_ledger._lock("tenant", "ana")
    async with session(postgres_book.owner_url) as owner:
        await owner.execute("SELECT pg_advisory_lock($1)", lock)
        setting = [asyncio.create_task(ana.judge.set_budget(ana.principal, limit(5))) for _ in range(16)]
        await until_waiting(owner, postgres_ledger._READERS)
        async with asyncio.timeout(5):
            assert (await bia.reserve(tool("k", 5))).reserved
        await owner.execute("SELECT pg_advisory_unlock($1)", lock)
    await asyncio.gather(*setting)


async def test_money_that_nobody_waits_for_any_more_is_not_reserved(postgres_book: PostgresBook) -> None:
    till = await till_of(postgres_book)
    lock = postgres_ledger._lock("tenant", "ana")
    async with session(postgres_book.owner_url) as owner:
        await owner.execute("SELECT pg_advisory_lock($1)", lock)
        asking = asyncio.create_task(till.reserve(tool("given up", 5)))
        await until_waiting(owner, 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await owner.execute("SELECT pg_advisory_unlock($1)", lock)
    await till.reserve(tool("asked", 7))
    assert await till.standing() == (0, 7)
    assert (await till.reserve(tool("given up", 5))).reserved
