"""Of many followers one leads, another goes on when it dies, and who was overtaken writes nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from malha.clock import SystemClock
from malha.run import Position
from malha.testing.planner import says
from malha.testing.planner_on_nats import PlannerOnNats
from malha_planner.adapters.event_stream import NatsAnnouncer
from malha_planner.adapters.presence import NatsPresence
from malha_planner.outbox import Outbox
from malha_planner.ports import Announcement, Overtaken


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
    await planner.until_final(due)


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
