"""Delivering events to webhooks: at least once each, and no endpoint waits for another.

One gateway at a time reads the events and delivers, by a word in the database that it must say again and
again; where it falls silent another goes on. What is to be delivered where is kept before reading goes on,
as places of events: an event that was erased meanwhile is delivered no more. Nothing is read, and no HTTP
client loaded, while there is no endpoint.

Each endpoint has deliveries of its own under way, few enough that a slow one holds up none but its own. One
that fails is given one delivery at a time and longer and longer rests, and is disabled after days of it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import orjson

from malha.clock import Clock
from malha.errors import MalhaError
from malha.ids import ulid
from malha.tasks import end
from malha.telemetry import metrics
from malha.telemetry.logs import log
from malha_gateway.ports import EventFeed, WebhookStore
from malha_gateway.sending import Sending
from malha_gateway.webhook_endpoint import Due, Endpoint, Outcome

_LOOK = 0.25
_REST = 1.0
_HOLD = timedelta(seconds=5)
_SAY_SO = 1.0
_LONGEST = 3600.0
_LONGEST_REST = 300.0


class Manners(NamedTuple):
    """How endpoints are treated."""

    retry_seconds: float = 5.0
    """Before the second attempt; doubled each time, up to an hour."""
    give_up: timedelta = timedelta(days=3)
    """An event is tried for so long."""
    disable_after: timedelta = timedelta(days=3)
    """An endpoint that has failed for so long is disabled."""
    waiting: int = 10_000
    """Deliveries that wait at an endpoint at most."""
    of_endpoint: int = 4
    """Deliveries under way."""
    of_tenant: int = 16
    of_all: int = 64
    of_failing: int = 32
    """Of all: the others are for endpoints that take what they are sent."""


class Delivering:
    """A gateway's part in it."""

    def __init__(
        self, store: WebhookStore, feed: EventFeed, sending: Sending, clock: Clock, manners: Manners
    ) -> None:
        self._store = store
        self._feed = feed
        self._sending = sending
        self._clock = clock
        self._manners = manners
        self._me = ulid()
        self._something = asyncio.Event()
        self._under_way: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._failing: set[tuple[str, int]] = set()
        self._tenants: Counter[str] = Counter()

    def look(self) -> None:
        """There may be something to do."""
        self._something.set()

    async def run(self) -> None:
        """Deliver for ever, whenever it is this gateway's turn."""
        try:
            while True:
                try:
                    place = await self._hold()
                    if place is not None:
                        await self._turn(place)
                except MalhaError as error:
                    log.warning("deliveries_wait", reason=error.reason_name)
                except Exception as error:
                    log.exception("deliveries_failed", error=type(error).__name__)
                await self._nudged(_REST)
        finally:
            await self._store.let_go(self._me)

    async def _turn(self, place: int) -> None:
        """Read and deliver until another one does, or a part fails."""
        parts = [asyncio.create_task(part) for part in (self._read(place), self._deliver(), self._say_so())]
        try:
            ended, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in ended:
                part.result()
        finally:
            await end(*parts, *self._under_way.values())

    async def _hold(self) -> int | None:
        now = self._clock.now()
        return await self._store.hold(self._me, now, now + _HOLD)

    async def _say_so(self) -> None:
        while await self._hold() is not None:
            await self._clock.sleep(_SAY_SO)

    async def _read(self, place: int) -> None:
        async with self._feed.after(place) as batches:
            async for heard in batches:
                dropped = await self._store.fan_out(
                    *(self._me, heard), before=place, now=self._clock.now(), most=self._manners.waiting
                )
                if dropped is None:
                    return
                if dropped:
                    metrics.GATEWAY_DELIVERIES.labels("dropped").inc(dropped)
                place = heard[-1].sequence
                self.look()

    async def _deliver(self) -> None:
        while True:
            for endpoint in sorted(await self._store.ready(self._clock.now()), key=self._turn_of):
                await self._begin(endpoint)
            await self._nudged(_LOOK)

    def _turn_of(self, endpoint: Endpoint) -> tuple[bool, int, float]:
        """Whose tenant has the least under way comes first, and of equals any: a few tenants whose receivers
        take their time must not keep all the room there is."""
        return endpoint.failures > 0, self._tenants[endpoint.tenant], random.random()  # noqa: S311  # spreads turns, guards nothing

    async def _begin(self, endpoint: Endpoint) -> None:
        """Begin as many of the endpoint's deliveries as there is room for."""
        name, manners = endpoint.webhook.webhook_id, self._manners
        begun = {sequence for webhook_id, sequence in self._under_way if webhook_id == name}
        most = 1 if endpoint.failures else manners.of_endpoint
        room = min(
            most - len(begun),
            manners.of_tenant - self._tenants[endpoint.tenant],
            manners.of_all - len(self._under_way),
            manners.of_failing - len(self._failing) if endpoint.failures else manners.of_all,
        )
        if room <= 0:
            return
        # one that ends meanwhile may still be in the answer
        for due in await self._store.due(name, self._clock.now(), limit=room + len(begun)):
            if room and due.sequence not in begun:
                room -= 1
                self._tenants[endpoint.tenant] += 1
                task = asyncio.create_task(self._attempt(endpoint, due))
                self._under_way[name, due.sequence] = task
                if endpoint.failures:
                    self._failing.add((name, due.sequence))
                task.add_done_callback(lambda _, due=due: self._ended(endpoint.tenant, due))  # type: ignore[misc]  # a default argument binds it

    def _ended(self, tenant: str, due: Due) -> None:
        task = self._under_way.pop((due.webhook_id, due.sequence))
        self._failing.discard((due.webhook_id, due.sequence))
        self._tenants[tenant] -= 1
        if not self._tenants[tenant]:
            del self._tenants[tenant]
        if task.cancelled():
            return
        if (error := task.exception()) is not None:  # a part of ours is away: no reason to hurry
            log.warning("delivery_interrupted", error=type(error).__name__)
        else:
            self.look()

    async def _attempt(self, endpoint: Endpoint, due: Due) -> None:
        body = await self._feed.event(endpoint.tenant, due.sequence)
        if body is None:
            await self._store.dropped(due)
            metrics.GATEWAY_DELIVERIES.labels("gone").inc()
            return
        outcome = await self._sending.send(endpoint, orjson.loads(body)["id"], body)
        if outcome.delivered:
            await self._store.delivered(due, outcome)
            metrics.GATEWAY_DELIVERIES.labels("delivered").inc()
        else:
            await self._failed(endpoint, due, outcome)

    async def _failed(self, endpoint: Endpoint, due: Due, outcome: Outcome) -> None:
        now = self._clock.now()
        again = now + timedelta(seconds=backoff(due.attempts, self._manners.retry_seconds, _LONGEST))
        rest = now + timedelta(seconds=backoff(endpoint.failures, self._manners.retry_seconds, _LONGEST_REST))
        # not since when it failed as the delivery began: a test may have ended that meanwhile
        since = await self._store.failed(due, outcome, now, again=again, rest=rest)
        given_up = now - _time(due.first_us) >= self._manners.give_up
        if given_up:
            await self._store.dropped(due)
        metrics.GATEWAY_DELIVERIES.labels("given_up" if given_up else "failed").inc()
        if outcome.over:
            await self._disable(endpoint, outcome.text)
        elif now - since >= self._manners.disable_after:
            await self._disable(endpoint, f"it failed since {since:%Y-%m-%d %H:%M} UTC: {outcome.text}")

    async def _disable(self, endpoint: Endpoint, reason: str) -> None:
        await self._store.disable(endpoint.webhook.webhook_id, reason)
        log.error(
            "webhook_disabled", tenant=endpoint.tenant, webhook=endpoint.webhook.webhook_id, reason=reason
        )

    async def _nudged(self, seconds: float) -> None:
        """Return when there may be something to do, or after so many seconds."""
        waiting = asyncio.create_task(self._something.wait())
        resting = asyncio.create_task(self._clock.sleep(seconds))
        try:
            await asyncio.wait((waiting, resting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(waiting, resting)
        self._something.clear()


def backoff(failures: int, first: float, longest: float) -> float:
    """Seconds to wait after so many failures before this one: doubled each time, half of it by chance."""
    whole = min(first * 2.0 ** min(failures, 32), longest)
    return whole * (0.5 + random.random() / 2)  # noqa: S311  # spreads load, guards nothing


def _time(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, UTC)
