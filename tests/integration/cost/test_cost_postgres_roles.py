"""Whom PostgreSQL itself lets read and change the ledger."""

from __future__ import annotations

import asyncpg
import pytest

from malha.testing.ledgers import SERVICE, PostgresBook
from malha.testing.postgres_sessions import READER, session

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


@pytest.mark.parametrize(
    "statement", ["UPDATE entries SET spent = 0", "DELETE FROM entries", "TRUNCATE entries"]
)
async def test_not_even_the_owner_changes_an_entry(filled: PostgresBook, statement: str) -> None:
    async with session(filled.owner_url) as owner:
        with pytest.raises(asyncpg.RaiseError, match="only ever added to"):
            await owner.execute(statement)
