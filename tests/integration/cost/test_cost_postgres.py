"""What PostgreSQL itself allows whom, and what its absence looks like."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from malha.api.cost.v1.budget_pb2 import BudgetPolicy, Scope, Window
from malha.api.cost.v1.cost_service_pb2 import AuthorizeResponse, ExportUsageRequest, Settlement
from malha.clock import SystemClock
from malha.errors import ConfigurationError, ErrorReason, MalhaError
from malha.testing.ledgers import SERVICE, PostgresBook, PostgresShelf
from malha.testing.money import Till, limit, tool
from malha.testing.shop import until
from malha_cost.accountant import Accountant
from malha_cost.adapters import (
    postgres_audit,
    postgres_ledger,
    postgres_reach,
    postgres_statements,
    sqlite_audit,
)
from malha_cost.adapters.postgres_ledger import PostgresLedger
from malha_cost.adapters.postgres_schema import migrate
from malha_cost.budget import House
from malha_cost.judge import Judge
from malha_cost.ledger import Entry
from malha_cost.prices import PriceTable

READER = "ana_reader"
END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE usename = $1 AND datname = current_database()"
)


@asynccontextmanager
async def session(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url, server_settings={"search_path": "cost"})
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def filled(postgres_book: PostgresBook) -> PostgresBook:
    """Two tenants' money, and a login that may read one's."""
    ledger = await postgres_book.open(House(10**6))
    judge = Judge(ledger, PriceTable([]), reference=None, clock=SystemClock())
    for tenant in ("ana", "bia"):
        till = Till(judge, tenant)
        await till.reserve(tool("k", 5), tool("used", 2))
        await till.settle(Settlement(key="used", amount_microusd=1))
    async with session(postgres_book.owner_url) as owner:
        if not await owner.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", READER):
            await owner.execute(f"CREATE ROLE {READER} LOGIN IN ROLE malha_cost_reader")
            await owner.execute("CREATE ROLE bia_reader LOGIN IN ROLE malha_cost_reader")
            await owner.execute(f"GRANT bia_reader TO {READER}")
        await owner.execute("INSERT INTO readers VALUES ($1, 'ana'), ('bia_reader', 'bia')", READER)
    return postgres_book


LIFTS = [
    "SELECT 1",
    "SET row_security = on",
    "SET ROLE bia_reader",
    "SET search_path = pg_temp, cost",
    "SET LOCAL ROLE bia_reader",
]


@pytest.mark.parametrize("lift", LIFTS)
async def test_a_reader_sees_its_own_tenant_whatever_it_sets(filled: PostgresBook, lift: str) -> None:
    url = filled.url.replace(SERVICE, READER)
    async with session(url) as reader, reader.transaction():
        await reader.execute(lift)
        for table in ("entries", "balances", "postings", "metered", "usage"):
            rows = await reader.fetch(f"SELECT DISTINCT tenant FROM cost.{table}")  # noqa: S608  # a constant
            assert [row[0] for row in rows] == ["ana"]


async def test_a_reader_that_would_go_round_the_rows_is_refused(filled: PostgresBook) -> None:
    async with session(filled.url.replace(SERVICE, READER)) as reader:
        await reader.execute("SET row_security = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.fetch("SELECT * FROM entries")
    for statement in (
        "SET SESSION AUTHORIZATION bia_reader",
        "SET ROLE service",
        "UPDATE readers SET tenant = 'bia'",
        "SELECT * FROM readers",
        "INSERT INTO entries SELECT * FROM entries",
        "UPDATE balances SET spent = 0",
        "DELETE FROM budgets",
    ):
        async with session(filled.url.replace(SERVICE, READER)) as reader:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await reader.execute(statement)


async def test_the_service_serves_all_tenants_and_changes_no_entry(filled: PostgresBook) -> None:
    async with session(filled.url) as service:
        assert await service.fetchval("SELECT count(DISTINCT tenant) FROM entries") == 2
        for statement in (
            "UPDATE entries SET spent = 0",
            "DELETE FROM entries",
            "TRUNCATE entries",
            "UPDATE usage SET spent = 0",
            "DELETE FROM metered",
            "INSERT INTO metered VALUES ('ana', 9, '', '', 1)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await service.execute(statement)


async def test_the_version_before_which_knows_nothing_of_terms_still_adds_entries(
    filled: PostgresBook,
) -> None:
    known = [name for name in Entry._fields if name != "terms"]
    copied = ", ".join("key || '-new'" if name == "key" else name for name in known)
    async with session(filled.url) as service:
        await service.execute(
            f"INSERT INTO entries ({', '.join(known)}) SELECT {copied} FROM entries WHERE tenant = 'ana'"  # noqa: S608  # names from our own class
        )
        new = await service.fetch("SELECT DISTINCT terms FROM entries WHERE key LIKE '%-new'")
        assert [row["terms"] for row in new] == [""]


@pytest.mark.parametrize(
    "statement", ["UPDATE entries SET spent = 0", "DELETE FROM entries", "TRUNCATE entries"]
)
async def test_not_even_the_owner_changes_an_entry(filled: PostgresBook, statement: str) -> None:
    async with session(filled.owner_url) as owner:
        with pytest.raises(asyncpg.RaiseError, match="only ever added to"):
            await owner.execute(statement)


async def test_an_audit_finds_what_is_off(filled: PostgresBook) -> None:
    assert (await postgres_audit.read(filled.url)).off == []
    async with session(filled.owner_url) as owner:
        await owner.execute("UPDATE balances SET reserved = reserved + 1 WHERE scope = 3 AND tenant = 'bia'")
    told, total = (await postgres_audit.read(filled.url)).off
    assert told.startswith("balance bia/3//")
    assert told.endswith("its entries differ by reserved -1")
    assert total == "total bia/3/: its days differ by reserved 1"


async def test_an_audit_finds_usage_that_is_not_the_sum_and_entries_that_nobody_would_be_billed_for(
    filled: PostgresBook,
) -> None:
    async with session(filled.owner_url) as owner:
        await owner.execute("UPDATE usage SET spent = spent + 1 WHERE tenant = 'ana'")
        await owner.execute("DELETE FROM metered WHERE tenant = 'bia'")
    usage, records = (await postgres_audit.read(filled.url)).off
    assert usage.endswith("its entries differ by spent -1")
    assert records == "records of bia: 1 entries, 0 of them numbered, up to 0"


async def test_migrating_again_changes_nothing(filled: PostgresBook) -> None:
    await migrate(filled.owner_url)
    assert (await postgres_audit.read(filled.url)).entries == 6


async def test_the_schema_is_made_at_any_address_that_the_service_takes(filled: PostgresBook) -> None:
    secured = f"{filled.owner_url}{'&' if '?' in filled.owner_url else '?'}sslmode=prefer"
    await (await PostgresLedger.open(secured, House(10))).close()
    await migrate(secured)


async def test_a_newer_schema_serves_this_version(postgres_book: PostgresBook) -> None:
    async with session(postgres_book.owner_url) as owner:
        await owner.execute("UPDATE alembic_version SET version_num = '9999'")
    till = Till(
        Judge(await postgres_book.open(House(10)), PriceTable([]), reference=None, clock=SystemClock())
    )
    assert (await till.reserve(tool("k", 5))).reserved


async def test_what_was_settled_before_usage_was_kept_is_in_it_and_on_the_bill(
    shelf: PostgresShelf, filled: PostgresBook
) -> None:
    async with session(filled.owner_url) as owner:
        before = [await owner.fetch(f"SELECT * FROM {table} ORDER BY 1") for table in ("metered", "usage")]  # noqa: S608  # constants
        await owner.execute("DROP TRIGGER entries_are_metered ON entries")
        await owner.execute("DROP FUNCTION meter; DROP TABLE metered, usage")
        await owner.execute("UPDATE alembic_version SET version_num = '0001'")
        with pytest.raises(ConfigurationError, match="older than"):
            await PostgresLedger.open(filled.url, House(1))
        await migrate(filled.owner_url, to="0002")
        after = [await owner.fetch(f"SELECT * FROM {table} ORDER BY 1") for table in ("metered", "usage")]  # noqa: S608  # constants
    assert after == before
    assert (await postgres_audit.read(filled.url)).off == []


async def test_who_exports_while_a_commit_is_under_way_is_told_of_nothing_behind_it(
    postgres_book: PostgresBook,
) -> None:
    house, clock = House(10**6), SystemClock()
    ledgers = [await postgres_book.open(house) for _ in range(2)]
    first, second = (Till(Judge(of, PriceTable([]), reference=None, clock=clock)) for of in ledgers)
    accountant = Accountant(ledgers[0], await postgres_book.usage(), PriceTable([]), clock)
    await first.reserve(tool("first", 5), tool("second", 5))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = $1"
    async with session(postgres_book.owner_url) as owner:
        await owner.execute("BEGIN; LOCK TABLE balances IN SHARE MODE")
        settling = []
        for count, (till, key) in enumerate(((first, "first"), (second, "second")), 1):
            settling.append(asyncio.create_task(till.settle(Settlement(key=key, amount_microusd=count))))

            async def waits(wanted: int = count) -> bool:
                return bool(await owner.fetchval(waiting, SERVICE) == wanted)

            await until(waits)
        page = await accountant.export(first.principal, ExportUsageRequest())
        assert (list(page.records), page.next) == ([], 0)
        await owner.execute("ROLLBACK")
        await asyncio.gather(*settling)
    page = await accountant.export(first.principal, ExportUsageRequest())
    assert [(record.sequence, record.key) for record in page.records] == [(1, "first"), (2, "second")]


async def waiting(owner: Any, wanted: int) -> None:
    """Until so many of the service's transactions wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = $1"

    async def wait() -> bool:
        return bool(await owner.fetchval(query, SERVICE) == wanted)

    await until(wait)


async def at_once(book: PostgresBook, tills: Sequence[Till]) -> list[AuthorizeResponse]:
    """What each till hears that asks for five while balances can be read and not moved: whoever need not wait
    decides on what stood before."""
    asking = []
    async with session(book.owner_url) as owner:
        await owner.execute("BEGIN; LOCK TABLE balances IN SHARE MODE")
        for count, till in enumerate(tills, 1):
            asking.append(asyncio.create_task(till.reserve(tool(f"k{count}", 5))))
            await waiting(owner, count)
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
    ledger = await postgres_book.open(House(10**6))
    till = Till(Judge(ledger, PriceTable([]), reference=None, clock=SystemClock()))
    await till.judge.set_budget(till.principal, limit(11, window=Window.WINDOW_TOTAL))
    async with session(postgres_book.owner_url) as owner:
        await owner.execute("BEGIN; LOCK TABLE balances IN SHARE MODE")
        before = asyncio.create_task(till.reserve(tool("before", 1)))
        await waiting(owner, 1)
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
            await waiting(owner, count)
        await owner.execute("ROLLBACK")
    assert all([(await one).reserved for one in asking])


@pytest.mark.parametrize("ending", ["pg_terminate_backend", "pg_cancel_backend"])
async def test_a_server_that_ends_a_question_in_the_middle_is_away_and_it_may_be_asked_again(
    postgres_book: PostgresBook, ending: str
) -> None:
    ledger = await postgres_book.open(House(10**6))
    till = Till(Judge(ledger, PriceTable([]), reference=None, clock=SystemClock()))
    async with session(postgres_book.owner_url) as owner:
        await owner.execute("BEGIN; LOCK TABLE entries")
        asking = asyncio.create_task(till.reserve(tool("k", 5)))
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = $1"

        async def waits() -> bool:
            return await owner.fetchval(waiting, SERVICE) is not None

        await until(waits)
        await owner.execute(f"SELECT {ending}($1)", await owner.fetchval(waiting, SERVICE))
        with pytest.raises(MalhaError) as away:
            await asking
        await owner.execute("ROLLBACK")
    assert away.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
    assert (await till.reserve(tool("k", 5))).reserved


@pytest.mark.parametrize("timeout", ["lock_timeout", "statement_timeout"])
async def test_a_database_that_lets_nobody_wait_for_long_is_away_while_another_has_the_lock(
    postgres_book: PostgresBook, timeout: str
) -> None:
    async with session(postgres_book.owner_url) as owner:
        name = await owner.fetchval("SELECT current_database()")
        await owner.execute(f"ALTER DATABASE {name} SET {timeout} = '500ms'")
    ledger = await postgres_book.open(House(10**6))
    till = Till(Judge(ledger, PriceTable([]), reference=None, clock=SystemClock()))
    async with session(postgres_book.owner_url) as owner, owner.transaction():
        await owner.execute(postgres_statements.LOCK, [postgres_ledger._lock("tenant", "ana")])
        with pytest.raises(MalhaError) as away:
            await till.reserve(tool("k", 5))
    assert away.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE


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


async def test_a_process_that_falls_silent_in_the_middle_holds_up_its_tenants_for_moments_only(
    postgres_book: PostgresBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a machine without power does: the server would not hear of it for hours."""
    ledger = await postgres_book.open(House(10**6))
    till = Till(Judge(ledger, PriceTable([]), reference=None, clock=SystemClock()))
    monkeypatch.setattr(postgres_reach, "SILENCE", "100ms")
    pool = await postgres_reach.connected(postgres_book.url, 1)
    async with pool.acquire() as silent:
        lock = postgres_ledger._lock("tenant", "ana")
        await silent.execute(f"BEGIN; SELECT pg_advisory_xact_lock({lock})")
        assert (await till.reserve(tool("k", 5))).reserved
    await pool.close()


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
        await waiting(owner, postgres_ledger._READERS)
        async with asyncio.timeout(5):
            assert (await bia.reserve(tool("k", 5))).reserved
        await owner.execute("SELECT pg_advisory_unlock($1)", lock)
    await asyncio.gather(*setting)


async def test_money_that_nobody_waits_for_any_more_is_not_reserved(postgres_book: PostgresBook) -> None:
    ledger = await postgres_book.open(House(10**6))
    till = Till(Judge(ledger, PriceTable([]), reference=None, clock=SystemClock()))
    lock = postgres_ledger._lock("tenant", "ana")
    async with session(postgres_book.owner_url) as owner:
        await owner.execute("SELECT pg_advisory_lock($1)", lock)
        asking = asyncio.create_task(till.reserve(tool("given up", 5)))
        await waiting(owner, 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await owner.execute("SELECT pg_advisory_unlock($1)", lock)
    await till.reserve(tool("asked", 7))
    assert await till.standing() == (0, 7)
    assert (await till.reserve(tool("given up", 5))).reserved


async def test_a_server_that_writes_no_longer_is_left_for_the_one_that_does(
    postgres_book: PostgresBook,
) -> None:
    """It still answers, so that its connections would be kept for ever."""
    async with session(postgres_book.owner_url) as owner:
        name = await owner.fetchval("SELECT current_database()")
        await owner.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        ledger = await postgres_book.open(House(10**6))
        till = Till(Judge(ledger, PriceTable([]), reference=None, clock=SystemClock()))
        await owner.execute("BEGIN READ WRITE")
        await owner.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await owner.execute("COMMIT")
    with pytest.raises(MalhaError) as away:
        await till.reserve(tool("k", 5))
    assert away.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
    assert (await till.reserve(tool("k", 5))).reserved


async def test_whenever_a_server_ends_its_connections_it_is_away_and_never_an_internal_error(
    postgres_book: PostgresBook,
) -> None:
    """Also for who asks between its last word and the end of the connection: some, of twenty."""
    ledger = await postgres_book.open(House(10**6))
    till = Till(Judge(ledger, PriceTable([]), reference=None, clock=SystemClock()))
    reasons = set()
    async with session(postgres_book.owner_url) as owner:
        for number in range(20):
            await owner.execute(END_ALL, SERVICE)
            try:
                await till.reserve(tool(f"k{number}", 5))
            except MalhaError as error:
                reasons.add(error.reason)
    assert reasons == {ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE}


async def test_while_no_server_of_several_writes_the_database_is_away(postgres_book: PostgresBook) -> None:
    url = f"{postgres_book.url}&target_session_attrs=read-write"
    ledger = await PostgresLedger.open(url, House(10**6))
    till = Till(Judge(ledger, PriceTable([]), reference=None, clock=SystemClock()))
    async with session(postgres_book.owner_url) as owner:
        name = await owner.fetchval("SELECT current_database()")
        await owner.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", SERVICE
        )
        for _ in range(2):  # the connection is lost, and no other is found
            with pytest.raises(MalhaError) as away:
                await till.reserve(tool("k", 5))
            assert away.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
        with pytest.raises(ConfigurationError, match="cannot be used"):
            await PostgresLedger.open(url, House(1))
        await owner.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert (await till.reserve(tool("k", 5))).reserved
    await ledger.close()


async def test_a_database_that_takes_a_connection_and_says_nothing_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres_reach, "SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://x@127.0.0.1:{silent.getsockname()[1]}/y"
        async with asyncio.timeout(10):
            with pytest.raises(ConfigurationError, match="cannot be used"):
                await PostgresLedger.open(url, House(1))


async def test_a_database_that_is_away_or_was_never_migrated_stops_the_start(shelf: PostgresShelf) -> None:
    for url in (shelf.server.url("postgres", SERVICE), "postgresql://x@/y?host=/nonexistent"):
        with pytest.raises(ConfigurationError, match="the ledger's"):
            await PostgresLedger.open(url, House(1))


@pytest.mark.parametrize("password", ["s3/cret", "s3#cret", "s3?cret"])
async def test_an_address_that_cannot_be_read_is_refused_without_a_piece_of_its_password(
    password: str,
) -> None:
    url = f"postgresql://malha:{password}@127.0.0.1/cost"
    with pytest.raises(ConfigurationError, match="address") as start:
        await PostgresLedger.open(url, House(1))
    with pytest.raises(sqlite_audit.UnreadableError, match="address") as audit:
        await postgres_audit.read(url)
    assert "s3" not in f"{start.value} {audit.value}"
