"""The follower on a real stream: rows, hints and events, whoever leads and whenever it dies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from malha import errors
from malha.api.run.v1.record_pb2 import Effect
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.clock import SystemClock
from malha.errors import MalhaError
from malha.run import ClaimDecision, Position, decide_claim, fold
from malha.run.nats_journal import EVENTS, RUNS
from malha.telemetry import metrics
from malha.testing.planner import Crash, CrashAt, MemoryItem, asks, says
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.records import ended
from malha.testing.servers import RunningServer
from malha.testing.shop import until
from malha_planner.adapters.event_stream import NatsAnnouncer
from malha_planner.adapters.presence import NatsPresence
from malha_planner.adapters.record_feed import NatsRecordFeed
from malha_planner.adapters.runs_table import SqliteRunsTable
from malha_planner.adapters.waker import NatsWaker
from malha_planner.outbox import Outbox
from malha_planner.ports import Announcement, Hint, Leadership, Overtaken, WorkItem

TYPES = [
    "malha.run.accepted",
    "malha.run.claimed",
    "malha.run.step_started",
    "malha.run.step_finished",
    "malha.run.step_started",
    "malha.run.step_finished",
    "malha.run.step_started",
    "malha.run.step_finished",
    "malha.run.finished",
]


async def test_an_accepted_run_is_woken_worked_on_announced_and_listed(planner: PlannerOnNats) -> None:
    planner.model.script = [asks(("add", {"a": 1, "b": 2})), says("3")]
    planner.start_follower()
    planner.start_worker()
    item = await planner.accept()
    await planner.until_finished(1)

    events = await planner.events()
    assert [event["type"] for event in events] == TYPES
    assert {event["subject"] for event in events} == {item.run_id}
    ids = [str(event["id"]).rpartition("/")[2] for event in events]
    assert ids == sorted(ids, key=lambda at: tuple(map(int, at.split("."))))
    ((_, row),) = await planner.table.page("acme", {}, before=None, limit=10)
    assert (row.run_id, row.status, row.cost.amount_microusd) == (item.run_id, "SUCCEEDED", 25)
    await until(lambda: _is(planner.queued(), 0))  # the server takes acknowledgements in its own time


async def test_events_carry_no_content(planner: PlannerOnNats) -> None:
    planner.model.script = [asks(("add", {"a": 4711})), says("the answer is 4711")]
    planner.start_follower()
    planner.start_worker()
    await planner.accept("what is 4711?")
    await planner.until_finished(1)
    assert not [event for event in await planner.events() if "4711" in str(event["data"])]


async def test_a_follower_killed_again_and_again_announces_everything_once_in_order(
    planner: PlannerOnNats,
) -> None:
    planner.model.script = [asks(("add", {"a": 1})), says("1")]
    planner.start_worker()
    follower = planner.start_follower()
    runs = 12
    for _ in range(runs):
        await planner.accept()
        await planner.kill(follower)
        follower = planner.start_follower()
    await planner.until_finished(runs)

    ids = [event["id"] for event in await planner.events()]
    assert len(ids) == len(set(ids)) == runs * len(TYPES)
    position = [tuple(map(int, str(one).rpartition("/")[2].split("."))) for one in ids]
    assert position == sorted(position)


async def test_after_a_rest_longer_than_events_are_kept_nothing_is_announced_again(
    planner: PlannerOnNats,
) -> None:
    planner.model.script = [says("hello")]
    planner.start_worker()
    follower = planner.start_follower()
    await planner.accept()
    await planner.until_finished(1)
    await planner.kill(follower)
    before = {event["id"] for event in await planner.events()}
    await planner.connection.js.purge_stream(EVENTS)  # leaves what age leaves: the last sequence alone

    planner.start_follower()
    await planner.accept()
    await planner.until_finished(1)
    assert not before & {event["id"] for event in await planner.events()}


async def test_of_two_followers_one_leads_and_the_other_takes_over_when_it_dies(
    planner: PlannerOnNats,
) -> None:
    planner.model.script = [says("hello")]
    planner.start_worker()
    first, second = planner.start_follower(), planner.start_follower()
    for _ in range(5):
        await planner.accept()
    await planner.until_finished(5)
    await planner.kill(first)
    await planner.accept()
    await planner.until_finished(6)
    await planner.kill(second)
    ids = [event["id"] for event in await planner.events()]
    assert len(ids) == len(set(ids))


async def test_an_overtaken_follower_learns_it_with_its_first_event_and_stores_nothing(
    planner: PlannerOnNats,
) -> None:
    announcer = NatsAnnouncer(planner.connection, planner.pipeline)
    fence, _ = await announcer.last()
    one = Announcement("acme", "run.accepted", Position(1, 0), b"{}")
    await announcer.publish([one, one], fence=fence)
    with pytest.raises(Overtaken):
        await announcer.publish([one], fence=fence)
    assert len(await planner.events()) == 2


async def test_a_feed_that_broke_while_its_reader_was_busy_says_so_at_once(
    planner: PlannerOnNats, own_server: RunningServer
) -> None:
    back = asyncio.Event()
    planner.connection.on_reconnect(back.set)
    await planner.accept()
    async with NatsRecordFeed(planner.connection).after(0) as batches:
        assert len(await anext(batches)) == 1
        own_server.restart(crash=True)
        await asyncio.wait_for(back.wait(), 5)
        with pytest.raises(MalhaError):
            await asyncio.wait_for(anext(batches), 2)


async def test_a_feed_that_cannot_be_opened_leaves_no_subscription(planner: PlannerOnNats) -> None:
    await planner.connection.js.delete_stream(RUNS)
    before = len(planner.connection.nc._subs)
    for _ in range(3):
        with pytest.raises(MalhaError):
            async with NatsRecordFeed(planner.connection).after(0):
                pass
    assert len(planner.connection.nc._subs) == before


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
            await until(lambda: _is(_value(self._outbox is None), wanted=False))
            assert self._outbox is not None
            await until(lambda: _is(_count(self._planner.table), 2))
            await self._outbox.check()  # what wrote the row has told what it tells
            self.refused = True
            raise errors.unavailable("nats")
        await self._waker.wake(hints)

    async def now(self) -> datetime:
        return await self._waker.now()


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
    await until(lambda: _is(planner.queued(), 2), seconds=5)
    assert refusing.refused


async def _count(table: SqliteRunsTable) -> int:
    return len(await table.page("acme", {}, before=None, limit=10))


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
    await until(lambda: _is(planner.queued(), 1))
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
    await until(lambda: _is(_value(seen), [due.run_id]))
    assert waits.run_id not in seen


async def test_a_follower_that_was_overtaken_reminds_nobody(planner: PlannerOnNats) -> None:
    fence, announced = await NatsAnnouncer(planner.connection, planner.pipeline).last()
    outbox = Outbox(
        NatsAnnouncer(planner.connection, planner.pipeline),
        planner.table,
        SystemClock(),
        fence=fence,
        announced=announced,
        told=0,
        idle=timedelta(seconds=1),
    )
    await outbox.check()
    other = NatsAnnouncer(planner.connection, planner.pipeline)
    await other.publish([Announcement("acme", "run.accepted", Position(1, 0), b"{}")], fence=fence)
    with pytest.raises(Overtaken):
        await outbox.check()


async def test_the_follower_keeps_nothing_of_runs_that_wait(planner: PlannerOnNats) -> None:
    follower = planner.follower()
    planner.start(follower.run())
    for _ in range(20):
        await planner.parked(None)
    await planner.accept()

    async def all_are_listed() -> bool:
        waiting = await planner.table.page("acme", {"status": "WAITING"}, before=None, limit=100)
        queued = await planner.table.page("acme", {"status": "QUEUED"}, before=None, limit=100)
        return (len(waiting), len(queued)) == (20, 1)

    await until(all_are_listed)
    assert follower.kept == 1


async def test_a_replayed_run_gets_a_new_item_and_ends_as_if_it_had_not_died(planner: PlannerOnNats) -> None:
    planner.model.script = [asks(("count", {})), says("done")]
    planner.start_follower()
    item = await planner.accept()
    item = await planner.crash(item, CrashAt("after_tool_result"))
    for _ in range(6):
        item = await planner.crash(item, CrashAt("after_model_started"))
    await planner.run(item)
    await planner.until_finished(1)
    ((_, tenant, row),) = await planner.table.dead("", before=None, limit=10)
    assert (tenant, row.run_id, row.error_reason) == ("acme", item.run_id, "TOO_MANY_DELIVERIES")

    await planner.connection.js.purge_stream("WORK")  # the item it died of
    planner.start_worker()
    await planner.replay(item)
    await planner.until_finished(2)
    assert (await planner.answer(item)).text == "done"
    assert planner.counted == 1
    assert planner.ledger.reserved == 0
    assert await planner.table.dead("", before=None, limit=10) == []
    told = [(event["type"], event["data"]) for event in await planner.events()]
    assert [kind for kind, _ in told].count("malha.run.replayed") == 1
    last = await planner.journal.load("acme", item.run_id)
    claims = [
        event.claimed.delivery for one in last for event in one.record.events if event.HasField("claimed")
    ]
    assert claims[-1] == 1


async def test_a_broken_journal_is_listed_as_dead_announced_counted_and_never_reminded(
    planner: PlannerOnNats,
) -> None:
    planner.ack_wait = 0.2
    counted = metrics.PLANNER_BROKEN._value.get()
    item = await planner.accept()
    await planner.append(item, ended(f"acme/{item.run_id}/1/2/1"))
    planner.start_follower()
    planner.start_worker()
    await planner.until_finished(1)
    ((_, _, row),) = await planner.table.dead("acme", before=None, limit=10)
    assert row.error_reason == "JOURNAL_BROKEN"
    await until(lambda: _is(planner.queued(), 0))
    assert metrics.PLANNER_BROKEN._value.get() == counted + 1
    assert await planner.table.due(datetime.now(UTC) + timedelta(days=1), limit=10) == []


async def test_a_follower_finds_its_place_where_no_event_is_kept_any_more(planner: PlannerOnNats) -> None:
    planner.model.script = [says("hello")]
    planner.start_worker()
    follower = planner.start_follower()
    await planner.accept()
    await planner.until_finished(1)
    await planner.accept()
    await planner.until_finished(2)
    await planner.kill(follower)
    await planner.connection.js.purge_stream("EVENTS")
    planner.start_follower()
    third = await planner.accept()
    async with asyncio.timeout(10):
        await until(lambda: _final(planner, third))


async def test_the_table_tells_what_the_journal_tells(planner: PlannerOnNats) -> None:
    planner.model.script = [asks(("add", {"a": 1})), says("1")]
    planner.start_follower()
    planner.start_worker()
    items = [await planner.accept() for _ in range(20)]
    await planner.until_finished(20)
    rows = await planner.table.page("acme", {}, before=None, limit=100)
    assert [row.run_id for _, row in rows] == [item.run_id for item in reversed(items)]
    assert await planner.table.page("other", {}, before=None, limit=100) == []
    for item, (_, row) in zip(reversed(items), rows, strict=True):
        state = fold(await planner.journal.load(item.tenant, item.run_id))
        assert row.cost == state.cost
        assert row.usage == state.usage
    assert (await planner.connection.js.stream_info(RUNS)).state.consumer_count == 1


async def _is(value: Awaitable[Any], wanted: object) -> bool:
    return bool(await value == wanted)


async def _value(value: object) -> object:
    return value


async def _final(planner: PlannerOnNats, item: MemoryItem) -> bool:
    return (await planner.state(item)).final


@pytest.mark.parametrize("dies", [0, 1])
async def test_whichever_of_two_followers_dies_the_other_wakes_a_parked_run_though_nothing_else_happens(
    planner: PlannerOnNats, dies: int
) -> None:
    followers = [planner.start_follower(), planner.start_follower()]
    planner.model.script = [says("hello")]
    planner.start_worker()
    await planner.accept()
    await planner.until_finished(1)  # both tried to announce it: now one leads
    await planner.kill(followers[dies])
    due = await planner.parked(datetime.now(UTC) + timedelta(seconds=0.3))
    await until(lambda: _final(planner, due))


async def test_a_standby_waits_while_the_leader_speaks_and_no_longer_when_it_leaves_or_is_silent(
    planner: PlannerOnNats,
) -> None:
    leader, standby = NatsPresence(planner.connection), NatsPresence(planner.connection)
    assert not await standby.led(0.01), "nobody speaks"
    waiting = asyncio.create_task(standby.led(60))
    await asyncio.sleep(0)
    await leader.lead()
    assert await waiting
    waiting = asyncio.create_task(standby.led(60))
    await asyncio.sleep(0)
    await leader.leave()
    assert not await waiting
