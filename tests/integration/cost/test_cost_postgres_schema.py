"""The ledger's schema on PostgreSQL: made, made newer, used by the version before, and audited."""

from __future__ import annotations

import pytest

from malha.clock import SystemClock
from malha.errors import ConfigurationError
from malha.testing.ledgers import PostgresBook, PostgresShelf
from malha.testing.money import Till, tool
from malha.testing.postgres_sessions import session
from malha_cost.adapters import (
    postgres_audit,
)
from malha_cost.adapters.postgres_ledger import PostgresLedger
from malha_cost.adapters.postgres_schema import migrate
from malha_cost.budget import House
from malha_cost.judge import Judge
from malha_cost.ledger import Entry
from malha_cost.prices import PriceTable


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
