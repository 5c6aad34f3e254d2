"""Runs that wait hold nothing, and outlive a restart of everything."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from malha.api.gateway.v1.run_pb2 import RunStatus
from malha.api.run.v1.record_pb2 import Decision, Effect, Risk
from malha.run.nats_journal import RUNS, WORK, Connection, connect
from malha.testing.people import People
from malha.testing.planner import asks, says
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.servers import RunningServer
from malha.testing.shop import until
from malha_planner.adapters.waker import NatsWaker
from malha_planner.ports import Hint, WorkItem

RUNS_THAT_WAIT = 120


async def listed(planner: PlannerOnNats, status: str) -> int:
    rows = await planner.table.page("acme", {"status": status}, before=None, limit=10_000)
    return len(rows)


def shop(connection: Connection, state: Path, earlier: PlannerOnNats | None = None) -> PlannerOnNats:
    """A planner with a tool that people must allow; what is not the planner's goes on from an earlier one."""
    made = PlannerOnNats(connection, state)
    made.toolbox.add("stop", made._count, effect=Effect.EFFECT_ONCE, price=5, risk=Risk.RISK_HIGH)
    made.model.script = [asks(("stop", {"line": 3})), says("stopped")]
    if earlier is not None:
        made.sealer, made.ledger = earlier.sealer, earlier.ledger
    return made


async def test_after_a_restart_of_everything_deciding_all_that_wait_finishes_all_of_them(
    own_server: RunningServer, connection: Connection, tmp_path: Path
) -> None:
    async with shop(connection, tmp_path) as planner:
        planner.start_follower()
        planner.start_worker()
        items = [await planner.accept() for _ in range(RUNS_THAT_WAIT)]

        async def all_wait() -> bool:
            return await listed(planner, "WAITING") == RUNS_THAT_WAIT

        await until(all_wait, seconds=30)

    own_server.restart(crash=True)
    again = await connect(own_server.url, name="tests")
    async with shop(again, tmp_path, planner) as planner:
        planner.start_follower()
        planner.start_worker()
        people = People(planner.journal, planner.sealer, None)  # type: ignore[arg-type] # nobody lists
        for item in items:
            await people.say(item.run_id, Decision.DECISION_APPROVE)

        async def all_are_over() -> bool:
            return await listed(planner, "SUCCEEDED") == RUNS_THAT_WAIT

        await until(all_are_over, seconds=30)
        assert planner.counted == RUNS_THAT_WAIT
        assert planner.ledger.reserved == 0
        assert {(await planner.state(item)).status for item in items} == {RunStatus.RUN_STATUS_SUCCEEDED}
    await again.close()


async def test_a_crowd_that_comes_back_again_and_again_does_not_keep_a_new_run_of_another_from_its_slot(
    connection: Connection, tmp_path: Path
) -> None:
    came_back, begun = Counter[str](), asyncio.Event()

    async def handle(item: WorkItem) -> None:
        if item.tenant == "lonely":
            begun.set()
        while not begun.is_set():
            async with item.resting():
                await asyncio.sleep(0)
            came_back[item.run_id] += 1
            await asyncio.sleep(0)
        await item.ack()

    async with PlannerOnNats(connection, tmp_path, ack_wait=300.0) as planner:
        planner.start_worker(handle, concurrency=1)
        waker = NatsWaker(planner.pipeline)
        await waker.wake([Hint(f"crowd/{n}", "interactive", "crowd", f"run-{n}") for n in range(10)])

        await until(lambda: len(came_back) == 10)
        await waker.wake([Hint("lonely", "interactive", "lonely", "run")])
        async with asyncio.timeout(10):
            await begun.wait()


async def test_runs_that_wait_are_in_no_queue_and_hold_no_slot_no_memory_and_no_subscription(
    connection: Connection, tmp_path: Path
) -> None:
    async with shop(connection, tmp_path) as planner:
        follower = planner.follower()
        planner.start(follower.run())
        planner.start_worker()
        (lanes,) = planner.lanes

        async def no_item_is_left() -> bool:
            # a slot is also taken by a question to the queue, for as long as that may be answered
            return await planner.queued() == 0 and lanes.taken == 0

        await planner.accept()
        await until(lambda: _is(planner, 1))
        await until(no_item_is_left)  # its worker is done with it, and listens for it no more
        subscriptions = len(connection.nc._subs)
        consumers = (await connection.js.stream_info(RUNS)).state.consumer_count
        for _ in range(50):
            await planner.accept()
        await until(lambda: _is(planner, 51))
        await until(no_item_is_left)
        assert follower.kept == 0
        assert len(connection.nc._subs) == subscriptions
        assert (await connection.js.stream_info(RUNS)).state.consumer_count == consumers
        assert (await connection.js.stream_info(WORK)).state.consumer_count == 1


async def _is(planner: PlannerOnNats, waiting: int) -> bool:
    return await listed(planner, "WAITING") == waiting
