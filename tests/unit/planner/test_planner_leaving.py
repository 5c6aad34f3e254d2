"""A worker whose process is told to end leaves its runs to the next, and nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from malha.api.gateway.v1.run_pb2 import RUN_STATUS_SUCCEEDED
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.run import MAX_CLAIMS
from malha.testing.journal import MemoryJournal
from malha.testing.planner import HoldAt, MemoryItem, asks, found, says
from malha.testing.shop import Shop, until


async def test_the_step_under_way_ends_and_the_next_worker_goes_on_after_it(shop: Shop) -> None:
    worker = shop.worker()

    async def tell_to_leave(_arguments: dict[str, object]) -> ToolResult:
        worker.leaving.set()
        return found("counted by the first")

    shop.toolbox.add("leave", tell_to_leave, price=5)
    shop.model.script = [asks(("leave", {})), says("done")]
    item = await shop.accept()
    await worker.handle(item)
    assert (item.acks, item.given_back) == (0, 1)
    state = await shop.state(item)
    assert len(state.steps) == 2, "model and tool"
    assert all(step.finished is not None for step in state.steps), "what was done is written"

    await shop.run(replace(item, delivery=2))
    state = await shop.state(item)
    assert state.status == RUN_STATUS_SUCCEEDED
    assert len(state.steps) == 3, "nothing was done again"
    assert shop.ledger.reserved == 0


async def test_a_step_that_takes_longer_than_the_process_may_stay_is_left_with_the_item(shop: Shop) -> None:
    hold = HoldAt("after_model_started")
    shop.model.script = [says("hello")]
    item = await shop.accept()
    worker = shop.worker(hold)
    working = asyncio.create_task(worker.handle(item))
    await hold.reached.wait()
    worker.leaving.set()
    working.cancel()
    await asyncio.wait((working,))
    assert (item.acks, item.given_back) == (0, 1)


async def test_a_run_that_waits_for_money_is_left_at_once_and_waits_elsewhere(shop: Shop) -> None:
    shop.ledger.limit = 190
    shop.ledger.enter("somebody/else", 100, None)
    shop.model.script = [says("hello")]
    item = await shop.accept()
    worker = shop.worker()
    working = asyncio.create_task(worker.handle(item))
    await until(lambda: item.rests > 0)
    worker.leaving.set()
    async with asyncio.timeout(10):
        await working
    assert (item.acks, item.given_back) == (0, 1)
    shop.ledger.enter("somebody/else", 100, 0)
    await shop.run(replace(item, delivery=2))
    assert (await shop.answer(item)).text == "hello"
    assert shop.ledger.reserved == 0


async def test_a_run_that_was_taken_over_is_not_given_back(shop: Shop) -> None:
    hold = HoldAt("after_model_started")
    shop.model.script = [says("hello"), says("hello")]
    item = await shop.accept()
    worker = shop.worker(hold)
    working = asyncio.create_task(worker.handle(item))
    await hold.reached.wait()
    await shop.run(replace(item, delivery=2))
    worker.leaving.set()
    hold.go_on.set()
    await working
    assert item.given_back == 0


async def left_in_mid_call(shop: Shop, item: MemoryItem) -> None:
    """A worker took the run up, and its process had to end before the model answered."""
    hold = HoldAt("after_model_started")
    worker = shop.worker(hold)
    working = asyncio.create_task(worker.handle(item))
    await hold.reached.wait()
    worker.leaving.set()
    working.cancel()
    await asyncio.wait((working,))


async def test_a_run_outlives_any_number_of_processes_that_end_in_the_midst_of_its_call(shop: Shop) -> None:
    shop.model.script = [says("hello")]
    item = await shop.accept()
    for delivery in range(1, 3 * MAX_CLAIMS):
        await left_in_mid_call(shop, replace(item, delivery=delivery))
    await shop.run(replace(item, delivery=3 * MAX_CLAIMS))
    state = await shop.state(item)
    assert state.status == RUN_STATUS_SUCCEEDED
    assert shop.ledger.reserved == 0


class Unheard:
    """A journal of which nothing is heard between two looks."""

    def __init__(self, journal: MemoryJournal) -> None:
        self.append, self.load, self.last_sequence = journal.append, journal.load, journal.last_sequence

    @asynccontextmanager
    async def doorbell(self, _tenant: str, _run_id: str) -> AsyncIterator[Unheard]:
        yield self

    def hush(self, _epoch: int) -> None:
        """It never rings."""

    async def wait(self, timeout: float) -> None:
        await asyncio.sleep(timeout)


@pytest.mark.parametrize("where", ["after_model_started", "after_tool_started"])
async def test_who_leaves_after_another_took_the_run_writes_nothing_into_it_and_keeps_its_item(
    shop: Shop, where: str
) -> None:
    hold = HoldAt(where)
    shop.model.script = [asks(("add", {"a": 1, "b": 2})), says("hello")]
    item = await shop.accept()
    worker = replace(shop.worker(hold), journal=Unheard(shop.journal))
    working = asyncio.create_task(worker.handle(item))
    await hold.reached.wait()
    worker.leaving.set()
    await shop.run(replace(item, delivery=2))  # somebody else took the run, unnoticed so far
    working.cancel()
    await asyncio.wait((working,))
    assert item.given_back == 0, "it would be taken from under the new owner"
    assert not any(
        event.HasField("handed_over")
        for entry in await shop.journal.load(item.tenant, item.run_id)
        for event in entry.record.events
    )
