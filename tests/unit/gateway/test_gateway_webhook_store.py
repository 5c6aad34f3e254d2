"""What is still to be delivered, as the gateway's database keeps it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import malha_gateway
from malha.api.gateway.v1.webhook_service_pb2 import Webhook
from malha.api.run.v1.record_pb2 import Sealed
from malha.sqlite import Database
from malha_gateway.adapters.webhook_store import SqliteWebhooks
from malha_gateway.webhook_endpoint import Due, Endpoint, Heard, Outcome

MIGRATIONS = Path(malha_gateway.__file__).parent / "migrations"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
MOST = 4


class Kept:
    """Webhooks of "ana", and whoever reads events for them."""

    def __init__(self, database: Database) -> None:
        self.store = SqliteWebhooks(database)
        self._place = 0

    async def hook(self, name: str, *types: str) -> None:
        endpoint = Endpoint("ana", Webhook(webhook_id=name, url="https://x", event_types=types), Sealed())
        assert await self.store.add(endpoint, after=0, most=16)

    async def hear(self, *types: str) -> int | None:
        """Take events of these types; how many were dropped."""
        assert await self.store.hold("me", NOW, NOW + timedelta(seconds=5)) == self._place
        heard = [Heard(self._place + n, "ana", event_type) for n, event_type in enumerate(types, 1)]
        before, self._place = self._place, heard[-1].sequence
        return await self.store.fan_out("me", heard, before=before, now=NOW, most=MOST)

    async def waiting(self) -> dict[str, int]:
        return {webhook.webhook_id: webhook.waiting for webhook in await self.store.of("ana")}


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    database = await Database.open(tmp_path / "gateway.sqlite", MIGRATIONS, durable=False)
    yield Kept(database)
    await database.close()


async def test_what_is_too_much_for_one_endpoint_is_left_out_there_alone_and_counted(kept: Kept) -> None:
    await kept.hook("all")
    await kept.hook("few", "alert.*")
    assert await kept.hear("run.finished", "run.finished", "alert.budget_warned") == 0
    assert await kept.hear("run.finished", "run.finished", "alert.budget_warned") == 2
    assert await kept.waiting() == {"all": MOST, "few": 2}
    await kept.store.delivered(Due("all", 1, 0, 0), Outcome("HTTP 200", delivered=True))
    assert await kept.hear("run.finished", "run.finished") == 1
    assert await kept.waiting() == {"all": MOST, "few": 2}
