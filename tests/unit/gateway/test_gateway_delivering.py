"""How deliveries are begun, apart from any socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import cast

from malha.api.gateway.v1.webhook_service_pb2 import Webhook
from malha.api.run.v1.record_pb2 import Sealed
from malha.errors import unavailable
from malha.tasks import end
from malha.testing.clock import FakeClock
from malha_gateway.delivering import Delivering, Manners
from malha_gateway.ports import WebhookStore
from malha_gateway.sending import Sending
from malha_gateway.webhook_endpoint import Due, Endpoint, Heard

LOOK_SECONDS = 0.25


class OneDue:
    """A store with one delivery that is always due."""

    async def hold(self, _holder: str, _now: datetime, _until: datetime) -> int | None:
        return 0

    async def let_go(self, _holder: str) -> None:
        pass

    async def ready(self, _now: datetime) -> Sequence[Endpoint]:
        return [Endpoint("ana", Webhook(webhook_id="hook"), Sealed())]

    async def due(self, _webhook_id: str, _now: datetime, *, limit: int) -> Sequence[Due]:
        return [Due("hook", 1, 0, 0)][:limit]


class Away:
    """Events of which nothing can be read."""

    def __init__(self) -> None:
        self.asked = 0

    @asynccontextmanager
    async def after(self, _sequence: int) -> AsyncIterator[AsyncIterator[list[Heard]]]:
        yield self._nothing()

    async def _nothing(self) -> AsyncIterator[list[Heard]]:
        await asyncio.Event().wait()
        yield []

    async def event(self, _sequence: int) -> bytes | None:
        self.asked += 1
        raise unavailable("nats")


async def test_a_delivery_that_a_part_of_ours_holds_up_is_begun_again_after_a_pause_and_not_at_once() -> None:
    clock, feed = FakeClock(), Away()
    delivering = Delivering(
        cast(WebhookStore, OneDue()), feed, cast(Sending, None), clock, Manners(retry_seconds=1)
    )
    running = asyncio.create_task(delivering.run())
    try:
        await _others_go_on()
        assert feed.asked == 1
        clock.advance(LOOK_SECONDS)
        await _others_go_on()
        assert feed.asked == 2
    finally:
        await end(running)


async def _others_go_on() -> None:
    for _ in range(200):
        await asyncio.sleep(0)
