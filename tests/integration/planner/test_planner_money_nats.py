"""Runs that wait for money, on a real queue: they hold up neither others nor those they wait for."""

from __future__ import annotations

import asyncio

from malha.testing.planner import HoldAt, says
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.shop import until


async def test_runs_that_wait_for_money_do_not_keep_a_worker_from_the_run_that_holds_it(
    planner: PlannerOnNats,
) -> None:
    planner.ack_wait = 1.0
    planner.ledger.limit = 190  # the ceiling of one call, and not of two
    planner.model.script = [says("here I am")]
    planner.start_follower()
    dies = HoldAt("before_model_started")  # money is held, and nothing says so
    first = planner.start_worker(planner.worker(dies, ack_wait=1.0).handle, concurrency=1)
    items = [await planner.accept()]
    async with asyncio.timeout(10):
        await dies.reached.wait()
    await planner.kill(first)
    planner.start_worker(concurrency=2)  # long before the dead worker's lease is over
    items += [await planner.accept() for _ in range(4)]
    await planner.until_finished(5)
    assert [(await planner.answer(item)).text for item in items] == ["here I am"] * 5
    assert planner.ledger.reserved == 0


async def test_a_run_that_waits_for_money_can_still_be_cancelled(planner: PlannerOnNats) -> None:
    planner.ledger.limit = 190
    planner.model.script = [says("here I am")]
    planner.ledger.enter("somebody/else", 100, None)
    planner.start_follower()
    planner.start_worker(concurrency=1)
    item = await planner.accept()
    await until(planner.ledger.asked)
    await planner.cancel(item)
    await planner.until_finished(1)
    assert (await planner.failure(item))[0] == "CANCELLED"
    assert planner.lanes[0].taken <= 1
