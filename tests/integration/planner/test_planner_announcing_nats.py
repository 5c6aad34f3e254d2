"""What is announced on a real stream: all of a run, once, in order, and none of its content."""

from __future__ import annotations

import asyncio

from malha.api.common.v1.principal_pb2 import Principal
from malha.run.nats_journal import EVENTS
from malha.testing.planner import asks, says
from malha.testing.planner_on_nats import PlannerOnNats

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
    await planner.until_queued(0)


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
    await planner.until_final(third)


async def test_a_message_that_no_follower_announced_stops_neither_followers_nor_erasures(
    planner: PlannerOnNats,
) -> None:
    """Whoever tries out a subscription publishes one."""
    planner.chores = [planner.eraser()]
    (item,) = await planner.finished()
    for one in (b'{"id": "a", "type": "test"}', b'{"id": "b", "type": "test"}'):
        await planner.connection.js.publish("malha.event.acme.test", one)
    await planner.accept()
    await planner.until_finished(2)
    async with asyncio.timeout(10):
        await planner.erase_requests().erase_run(Principal(tenant="acme", subject="ana"), item.run_id)
    ids = [event["id"] for event in await planner.events()]
    assert len(ids) == len(set(ids))
    assert not [one for one in ids if item.run_id in str(one)]
