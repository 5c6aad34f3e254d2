"""The follower on a real stream: it reads every record, and lists each run as its journal tells."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from malha.errors import MalhaError
from malha.run import fold
from malha.run.keys import subject
from malha.run.nats_journal import RUNS
from malha.telemetry import metrics
from malha.testing.planner import CrashAt, asks, says
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.records import ended
from malha.testing.servers import RunningServer
from malha.testing.shop import until
from malha_planner.adapters.record_feed import NatsRecordFeed


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
    await planner.until_queued(0)
    assert metrics.PLANNER_BROKEN._value.get() == counted + 1
    assert await planner.table.due(datetime.now(UTC) + timedelta(days=1), limit=10) == []


async def test_runs_are_followed_though_the_table_knows_more_than_a_stream_that_was_lost(
    planner: PlannerOnNats,
) -> None:
    await planner.table.upsert([], followed=1000)
    planner.model.script = [says("hello")]
    planner.start_follower()
    planner.start_worker()
    await planner.accept()
    await planner.until_finished(1)


async def test_an_empty_message_among_the_records_holds_up_nobodys_run(planner: PlannerOnNats) -> None:
    await planner.connection.js.publish(subject("acme", "a" * 52), b"")
    planner.model.script = [says("hello")]
    planner.start_follower()
    planner.start_worker()
    await planner.accept()
    await planner.until_finished(1)


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
