"""What a ledger's file that cannot be written looks like to those who ask for money."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from malha.clock import SystemClock
from malha.errors import ErrorReason, MalhaError
from malha.sqlite import Database
from malha.testing.money import Till, limit, tool
from malha_cost.adapters import sqlite_audit
from malha_cost.adapters.sqlite_ledger import MIGRATIONS, SqliteLedger
from malha_cost.budget import House
from malha_cost.judge import Judge
from malha_cost.prices import PriceTable


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "cost.db", MIGRATIONS, durable=True)
    yield opened
    await opened.close()


@pytest.fixture
def till(database: Database) -> Till:
    ledger = SqliteLedger(database, House(10**6))
    return Till(Judge(ledger, PriceTable([]), reference=None, clock=SystemClock()))


async def told(database: Database, statement: str) -> None:
    """Said to the one writer."""
    await database.write(lambda connection: connection.execute(statement).fetchall())


async def test_a_disk_that_is_full_is_away_and_the_call_may_be_asked_for_again(
    till: Till, database: Database
) -> None:
    [(pages,)] = await database.read(lambda connection: connection.execute("PRAGMA page_count").fetchall())
    await told(database, f"PRAGMA max_page_count={pages}")
    asked = [tool(f"{number}-{'x' * 200}", 5, run=str(number)) for number in range(64)]
    for _ in range(2):
        with pytest.raises(MalhaError) as away:
            await till.reserve(*asked)
        assert away.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
    await told(database, f"PRAGMA max_page_count={pages + 1000}")
    assert len((await till.reserve(*asked)).reserved) == 64
    assert await till.standing() == (0, 64 * 5)
    assert sqlite_audit.read(database.path).off == []


async def test_a_file_that_somebody_else_has_locked_is_away(till: Till, database: Database) -> None:
    await told(database, "PRAGMA busy_timeout=0")
    with closing(sqlite3.connect(database.path, isolation_level=None)) as somebody:
        somebody.execute("BEGIN IMMEDIATE")
        with pytest.raises(MalhaError) as asking:
            await till.reserve(tool("k", 5))
        with pytest.raises(MalhaError) as setting:
            await till.judge.set_budget(till.principal, limit(5))
    for away in (asking.value, setting.value):
        assert away.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
    assert (await till.reserve(tool("k", 5))).reserved


async def test_money_that_nobody_waits_for_any_more_is_not_reserved(till: Till, database: Database) -> None:
    stalled = threading.Event()
    stalling = asyncio.create_task(database.write(lambda _: stalled.wait(10)))
    asking = asyncio.create_task(till.reserve(tool("given up", 5)))
    await asyncio.sleep(0)  # now it waits for the writer
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    stalled.set()
    await stalling
    await till.reserve(tool("asked", 7))
    assert await till.standing() == (0, 7)
    assert (await till.reserve(tool("given up", 5))).reserved
