"""Whoever has work is woken on a real stream: by a record, when a time has come, though a hint was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from malha import errors
from malha.api.run.v1.record_pb2 import Effect
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.run import ClaimDecision, decide_claim, fold
from malha.testing.planner import Crash, asks, says
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.shop import until
from malha_planner.adapters.waker import NatsWaker
from malha_planner.ports import Hint, Leadership, WorkItem


async def test_the_same_record_wakes_once_and_a_later_one_of_the_same_run_wakes_again(
    planner: PlannerOnNats,
) -> None:
    """With a message id per run alone, a decision within two minutes of the last wake would be lost."""
    waker = NatsWaker(planner.pipeline)
    item = await planner.accept()
    early = Hint(f"acme/{item.run_id}:1", "interactive", "acme", item.run_id)
    await waker.wake([early])
    await waker.wake([early])
    assert await planner.queued() == 1
    await waker.wake([Hint(f"acme/{item.run_id}:9", "interactive", "acme", item.run_id)])
    assert await planner.queued() == 2


class RefusedOnce:
    """A queue that refuses the first hint, after the outbox has told whatever it tells by then."""

    def __init__(self, planner: PlannerOnNats) -> None:
        self._planner = planner
        self._waker = NatsWaker(planner.pipeline)
        self._outbox: Leadership | None = None
        self.refused = False

    async def run(self, leadership: Leadership) -> None:
        """As a chore, to know the outbox."""
        self._outbox = leadership
        await asyncio.Event().wait()

    async def wake(self, hints: Sequence[Hint]) -> None:
        if hints and not self.refused:
            await until(lambda: self._outbox is not None)
            assert self._outbox is not None
            await until(self._both_are_listed)
            await self._outbox.check()  # what wrote the row has told what it tells
            self.refused = True
            raise errors.unavailable("nats")
        await self._waker.wake(hints)

    async def now(self) -> datetime:
        return await self._waker.now()

    async def _both_are_listed(self) -> bool:
        return len(await self._planner.table.page("acme", {}, before=None, limit=10)) == 2


async def test_nothing_is_announced_of_a_run_before_its_hint_is_queued(planner: PlannerOnNats) -> None:
    """Else the next leader, which goes on behind what was announced, would not queue it any more."""
    planner.ack_wait = 30  # the timer would remind it after 90 s
    refusing = RefusedOnce(planner)
    planner.chores = [refusing]
    follower = planner.follower()
    follower._waker = refusing
    for _ in range(2):
        await planner.accept()
    planner.start(follower.run())
    await planner.until_queued(2, seconds=5)
    assert refusing.refused


async def test_a_cancellation_of_a_parked_run_wakes_a_worker(planner: PlannerOnNats) -> None:
    async def dies(_arguments: dict[str, object]) -> ToolResult:
        raise Crash

    planner.toolbox.add("dies", dies, effect=Effect.EFFECT_ONCE)
    planner.model.script = [asks(("dies", {}))]
    item = await planner.accept()
    with pytest.raises(Crash):
        await planner.worker().handle(item)
    await planner.run(replace(item, delivery=2))
    assert (await planner.state(item)).parked is not None
    await planner.cancel(item)
    planner.start_follower()
    planner.start_worker()
    await planner.until_finished(1)
    assert (await planner.failure(item))[0] == "CANCELLED"


async def test_a_runnable_run_whose_hint_was_lost_is_woken_by_the_timer(planner: PlannerOnNats) -> None:
    planner.ack_wait = 0.2
    planner.model.script = [says("late but there")]
    planner.start_follower()
    await planner.accept()
    await planner.until_queued(1)
    await planner.connection.js.purge_stream("WORK")
    planner.start_worker()
    await planner.until_finished(1)


async def test_a_parked_run_goes_on_when_its_time_has_come_and_another_waits(planner: PlannerOnNats) -> None:
    planner.start_follower()
    due = await planner.parked(datetime.now(UTC))
    waits = await planner.parked(datetime.now(UTC) + timedelta(hours=1))
    seen: list[str] = []

    async def handle(item: WorkItem) -> None:
        state = fold(await planner.journal.load(item.tenant, item.run_id))
        decision = decide_claim(state, item=item.item, delivery=1, item_time=item.time, other_queued=False)
        if decision is ClaimDecision.CLAIM:
            seen.append(item.run_id)
        await item.ack()

    planner.start_worker(handle)
    await until(lambda: seen == [due.run_id])
    assert waits.run_id not in seen
