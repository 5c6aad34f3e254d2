"""A judge over each database there is."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from malha.api.common.v1.principal_pb2 import Tier
from malha.sqlite import Database
from malha.testing.clock import FakeClock
from malha.testing.money import PRICE_FILE, Till
from malha_cost.adapters import price_file
from malha_cost.adapters.sqlite_ledger import MIGRATIONS, SqliteLedger
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


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[Ledger]:
    """A ledger whose tenants may spend 1,000 micro-dollars a day, to the last of them."""
    database = await Database.open(tmp_path / "cost.db", MIGRATIONS, durable=False)
    yield SqliteLedger(database, HOUSE)
    await database.close()


@pytest.fixture
def judge(book: Ledger, prices: PriceTable, clock: FakeClock) -> Judge:
    return Judge(book, prices, reference=("named", "half"), clock=clock)


@pytest.fixture
def till(judge: Judge) -> Till:
    return Till(judge)
