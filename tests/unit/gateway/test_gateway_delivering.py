"""How deliveries are begun, apart from any socket."""

from __future__ import annotations

import asyncio
import itertools
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
from malha_gateway.webhook_endpoint import Due, Endpoint, Heard, Outcome

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

    async def last(self) -> int:
        return 1

    async def event(self, _tenant: str, _sequence: int) -> bytes | None:
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


class SlowToRead(OneDue):
    """A store whose second answer is as old as the question, which is when the delivery was still due."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()
        self._questions = 0
        self._done = False

    async def due(self, _webhook_id: str, _now: datetime, *, limit: int) -> Sequence[Due]:
        found = [] if self._done else await super().due(_webhook_id, _now, limit=limit)
        self._questions += 1
        if self._questions == 2:
            await self.answer.wait()
        return found

    async def delivered(self, _due: Due, _outcome: Outcome) -> None:
        self._done = True


class OneEvent(Away):
    """An event that can be read."""

    async def event(self, _tenant: str, _sequence: int) -> bytes | None:
        return b'{"id": "1"}'


class Receiver:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.sent = 0
        self.answer = asyncio.Event()

    async def send(self, _endpoint: Endpoint, _event_id: str, _body: bytes) -> Outcome:
        self.sent += 1
        await self.answer.wait()
        return Outcome("HTTP 200", delivered=True)


async def test_a_delivery_that_ends_while_the_next_are_looked_for_is_not_sent_again() -> None:
    store, receiver = SlowToRead(), Receiver()
    delivering = Delivering(
        cast(WebhookStore, store), OneEvent(), cast(Sending, receiver), FakeClock(), Manners()
    )
    running = asyncio.create_task(delivering.run())
    try:
        await _others_go_on()
        delivering.look()
        await _others_go_on()
        receiver.answer.set()
        await _others_go_on()
        store.answer.set()
        await _others_go_on()
        assert receiver.sent == 1
    finally:
        await end(running)


class Crowd:
    """Endpoints of a tenant, and one of another that comes later; there is always something due."""

    def __init__(self) -> None:
        self.another = False
        self._numbers = itertools.count(1)

    async def hold(self, _holder: str, _now: datetime, _until: datetime) -> int | None:
        return 0

    async def let_go(self, _holder: str) -> None:
        pass

    async def ready(self, _now: datetime) -> Sequence[Endpoint]:
        names = ["busy/1", "busy/2", "busy/3"] + ["ana/1"] * self.another
        return [Endpoint(name.split("/")[0], Webhook(webhook_id=name), Sealed()) for name in names]

    async def due(self, webhook_id: str, _now: datetime, *, limit: int) -> Sequence[Due]:
        return [Due(webhook_id, next(self._numbers), 0, 0) for _ in range(limit)]

    async def delivered(self, _due: Due, _outcome: Outcome) -> None:
        pass


class Slow:
    """Receivers that answer one by one, when they are told to."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.answer = asyncio.Semaphore(0)

    async def send(self, endpoint: Endpoint, _event_id: str, _body: bytes) -> Outcome:
        self.sent.append(endpoint.tenant)
        await self.answer.acquire()
        return Outcome("HTTP 200", delivered=True)


async def test_room_that_slow_receivers_leave_goes_to_who_has_least_under_way() -> None:
    crowd, slow = Crowd(), Slow()
    manners = Manners(of_endpoint=2, of_tenant=4, of_all=4)
    delivering = Delivering(cast(WebhookStore, crowd), OneEvent(), cast(Sending, slow), FakeClock(), manners)
    running = asyncio.create_task(delivering.run())
    try:
        await _others_go_on()
        assert slow.sent == ["busy"] * 4, "all there is"
        crowd.another = True
        slow.answer.release()
        await _others_go_on()
        assert slow.sent == ["busy"] * 4 + ["ana"]
    finally:
        await end(running)


class Enabled(OneDue):
    """A store in which a test that arrived has just ended days of failing."""

    def __init__(self) -> None:
        self.failures = 0
        self.disabled = False

    async def ready(self, _now: datetime) -> Sequence[Endpoint]:
        return [Endpoint("ana", Webhook(webhook_id="hook"), Sealed(), failures=99)]

    async def failed(
        self, _due: Due, _outcome: Outcome, now: datetime, *, again: datetime, rest: datetime
    ) -> datetime:
        self.failures += 1
        return now

    async def dropped(self, _due: Due) -> None:
        pass

    async def disable(self, _webhook_id: str, _reason: str) -> None:
        self.disabled = True


class Refusing(Receiver):
    """Answers that it will not have it."""

    async def send(self, _endpoint: Endpoint, _event_id: str, _body: bytes) -> Outcome:
        return Outcome("HTTP 503", delivered=False)


async def test_a_delivery_that_was_under_way_does_not_disable_what_a_test_has_just_enabled() -> None:
    store = Enabled()
    delivering = Delivering(
        cast(WebhookStore, store), OneEvent(), cast(Sending, Refusing()), FakeClock(), Manners()
    )
    running = asyncio.create_task(delivering.run())
    try:
        await _others_go_on()
        assert store.failures > 0
        assert not store.disabled
    finally:
        await end(running)


async def _others_go_on() -> None:
    for _ in range(200):
        await asyncio.sleep(0)
