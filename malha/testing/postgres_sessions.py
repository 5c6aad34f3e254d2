"""A ledger's PostgreSQL as seen beside the ledger: sessions of one's own, and who waits in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from malha.clock import SystemClock
from malha.testing.ledgers import SERVICE, PostgresBook
from malha.testing.money import Till
from malha.testing.shop import until
from malha_cost.budget import House
from malha_cost.judge import Judge
from malha_cost.prices import PriceTable

READER = "ana_reader"
"""A login that may be let read one tenant's money."""
_WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = $1"


@asynccontextmanager
async def session(url: str) -> AsyncIterator[Any]:
    """A connection for the length of the block."""
    connection = await asyncpg.connect(url, server_settings={"search_path": "cost"})
    try:
        yield connection
    finally:
        await connection.close()


async def till_of(book: PostgresBook, tenant: str = "ana") -> Till:
    """A tenant's way to a ledger of its own process."""
    judge = Judge(await book.open(House(10**6)), PriceTable([]), reference=None, clock=SystemClock())
    return Till(judge, tenant)


async def until_waiting(owner: Any, wanted: int) -> list[int]:
    """Wait until so many of the service's transactions wait for a lock; their processes."""
    found: list[int] = []

    async def wait() -> bool:
        found[:] = [row["pid"] for row in await owner.fetch(_WAITING, SERVICE)]
        return len(found) == wanted

    await until(wait)
    return found
