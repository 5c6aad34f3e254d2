"""A judge over each database there is."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from malha.api.common.v1.principal_pb2 import Tier
from malha.testing.clock import FakeClock
from malha.testing.ledgers import Book, PostgresShelf, SqliteBook
from malha.testing.money import PRICE_FILE, Till
from malha.testing.postgres import postgres
from malha_cost.accountant import Accountant
from malha_cost.adapters import price_file
from malha_cost.budget import House
from malha_cost.judge import Judge
from malha_cost.ports import Ledger
from malha_cost.prices import PriceTable

HOUSE = House(tenant_daily_microusd=1_000, brake_percent=100, monthly_tokens={Tier.TIER_FREE: 10_000})


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2026, 1, 15, 12, tzinfo=UTC))


@pytest.fixture(scope="session")
def prices(tmp_path_factory: pytest.TempPathFactory) -> PriceTable:
    path = tmp_path_factory.mktemp("prices") / "scripted.yaml"
    path.write_text(PRICE_FILE)
    return price_file.load(price_file.BUNDLED, path)


@pytest.fixture(scope="session")
def shelf() -> Iterator[PostgresShelf]:
    """A PostgreSQL for all tests that need one."""
    with postgres() as server:
        yield PostgresShelf(server)


@pytest.fixture(params=["sqlite", "postgres"])
async def books(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Book]:
    """Where a test's ledger is kept."""
    if request.param == "sqlite":
        book = SqliteBook(tmp_path)
        yield book
        await book.close()
    else:
        async with request.getfixturevalue("shelf").book() as book:
            yield book


@pytest.fixture
async def book(books: Book) -> Ledger:
    """A ledger whose tenants may spend 1,000 micro-dollars a day, to the last of them."""
    return await books.open(HOUSE)


@pytest.fixture
def judge(book: Ledger, prices: PriceTable, clock: FakeClock) -> Judge:
    return Judge(book, prices, reference=("named", "half"), clock=clock)


@pytest.fixture
async def accountant(book: Ledger, books: Book, prices: PriceTable, clock: FakeClock) -> Accountant:
    return Accountant(book, await books.usage(), prices, clock)


@pytest.fixture
def till(judge: Judge) -> Till:
    return Till(judge)
