"""What the absence of PostgreSQL looks like, in all its forms."""

from __future__ import annotations

import asyncio
import socket

import pytest

from malha.clock import SystemClock
from malha.errors import ConfigurationError, ErrorReason, MalhaError
from malha.testing.ledgers import SERVICE, PostgresBook, PostgresShelf
from malha.testing.money import Till, tool
from malha.testing.postgres_sessions import session, till_of, until_waiting
from malha_cost.adapters import (
    postgres_audit,
    postgres_ledger,
    postgres_reach,
    postgres_statements,
    sqlite_audit,
)
from malha_cost.adapters.postgres_ledger import PostgresLedger
from malha_cost.budget import House
from malha_cost.judge import Judge
from malha_cost.prices import PriceTable

END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE usename = $1 AND datname = current_database()"
)


@pytest.mark.parametrize("ending", ["pg_terminate_backend", "pg_cancel_backend"])
async def test_a_server_that_ends_a_question_in_the_middle_is_away_and_it_may_be_asked_again(
    postgres_book: PostgresBook, ending: str
) -> None:
    till = await till_of(postgres_book)
    async with session(postgres_book.owner_url) as owner:
        await owner.execute("BEGIN; LOCK TABLE entries")
        asking = asyncio.create_task(till.reserve(tool("k", 5)))
        await owner.execute(f"SELECT {ending}($1)", *await until_waiting(owner, 1))
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
    till = await till_of(postgres_book)
    async with session(postgres_book.owner_url) as owner, owner.transaction():
        await owner.execute(postgres_statements.LOCK, [postgres_ledger._lock("tenant", "ana")])
        with pytest.raises(MalhaError) as away:
            await till.reserve(tool("k", 5))
    assert away.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE


async def test_a_process_that_falls_silent_in_the_middle_holds_up_its_tenants_for_moments_only(
    postgres_book: PostgresBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a machine without power does: the server would not hear of it for hours."""
    till = await till_of(postgres_book)
    monkeypatch.setattr(postgres_reach, "SILENCE", "100ms")
    pool = await postgres_reach.connected(postgres_book.url, 1)
    async with pool.acquire() as silent:
        lock = postgres_ledger._lock("tenant", "ana")
        await silent.execute(f"BEGIN; SELECT pg_advisory_xact_lock({lock})")
        assert (await till.reserve(tool("k", 5))).reserved
    await pool.close()


async def test_a_server_that_writes_no_longer_is_left_for_the_one_that_does(
    postgres_book: PostgresBook,
) -> None:
    """It still answers, so that its connections would be kept for ever."""
    async with session(postgres_book.owner_url) as owner:
        name = await owner.fetchval("SELECT current_database()")
        await owner.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        till = await till_of(postgres_book)
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
    till = await till_of(postgres_book)
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
        await owner.execute(END_ALL, SERVICE)
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
