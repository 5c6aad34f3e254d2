"""A run that kills its workers is declared dead, and goes on from its journal when it is replayed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from malha.api.run.v1.record_pb2 import FinalStatus
from malha.api.tools.v1.tools_service_pb2 import ResolveResponse
from malha.testing.planner import Crash, CrashAt, MemoryItem, asks, says
from malha.testing.shop import Shop, until


async def test_the_sixth_delivery_declares_the_run_dead_and_settles_what_is_open(shop: Shop) -> None:
    shop.model.script = [says("never heard")]
    item = await shop.accept()
    for _ in range(5):
        item = await shop.crash(item, CrashAt("after_model_started"))
    await shop.run(item)
    assert (await shop.failure(item))[0] == "TOO_MANY_DELIVERIES"
    state = await shop.state(item)
    assert state.finished is not None
    assert state.finished.status == FinalStatus.FINAL_STATUS_DEAD
    assert item.acks == 1
    assert shop.ledger.reserved == 0
    assert state.finished.cost.amount_microusd == shop.ledger.spent
    assert state.finished.cost == state.cost


async def test_a_run_that_gets_on_between_deaths_is_not_dead_however_often_it_was_delivered(
    shop: Shop,
) -> None:
    """Six workers die under it, each after one result more: that is no run that is stuck."""
    shop.model.script = [asks(("add", {"a": n})) for n in range(6)] + [says("21")]
    item = await shop.accept(iterations=7)
    for _ in range(6):
        item = await shop.crash(item, CrashAt("after_tool_result"))
    await shop.run(item)
    assert (await shop.answer(item)).text == "21"


async def _dies(request: object) -> ResolveResponse:
    raise Crash


async def test_a_replayed_run_does_nothing_again_that_its_journal_holds(shop: Shop) -> None:
    shop.model.script = [asks(("count", {})), says("done")]
    item = await shop.accept()
    item = await shop.crash(item, CrashAt("after_tool_result"))
    for _ in range(6):  # the first of them writes the tool's result
        item = await shop.crash(item, CrashAt("after_model_started"))
    await shop.run(item)
    assert (await shop.state(item)).dead
    heard = len(shop.model.shown)
    await shop.replay(item)
    await shop.run(MemoryItem(item.tenant, item.run_id, item=2))
    state = await shop.state(item)
    assert (await shop.answer(item)).text == "done"
    assert shop.counted == 1
    assert len(shop.model.shown) == heard + 1, "the first answer stands, the second was never heard"
    assert shop.ledger.reserved == 0
    assert state.finished is not None
    assert state.finished.cost.amount_microusd == state.cost.amount_microusd == shop.ledger.spent


@pytest.mark.parametrize(("boundary", "counts"), [("after_tool_started", 1), ("tool_returned", 1)])
async def test_a_replayed_run_asks_what_became_of_a_tool_that_was_begun_when_it_died(
    shop: Shop, boundary: str, counts: int
) -> None:
    shop.model.script = [asks(("count", {})), says("done")]
    item = await shop.crash(await shop.accept(), CrashAt(boundary))
    resolve, shop.toolbox.resolve = shop.toolbox.resolve, _dies  # type: ignore[method-assign] # workers die here
    for _ in range(5):
        with pytest.raises(Crash):
            await shop.worker().handle(item)
        item = replace(item, delivery=item.delivery + 1)
    shop.toolbox.resolve = resolve  # type: ignore[method-assign] # it is mended
    await shop.run(item)
    assert (await shop.state(item)).dead
    await shop.replay(item)
    await shop.run(MemoryItem(item.tenant, item.run_id, item=2))
    assert (await shop.answer(item)).text == "done"
    assert shop.counted == counts
    assert shop.ledger.reserved == 0
    assert shop.ledger.spent == (await shop.state(item)).cost.amount_microusd


async def test_a_replayed_run_has_its_whole_time_once_more(shop: Shop) -> None:
    shop.model.script = [says("in time")]
    item = await shop.accept(wall_seconds=0.3)
    for _ in range(5):
        item = await shop.crash(item, CrashAt("after_model_started"))
    await shop.run(item)
    accepted_at = (await shop.state(item)).accepted_at

    await until(lambda: (datetime.now(UTC) - accepted_at).total_seconds() > 0.3)  # its time is over
    await shop.replay(item)
    await shop.run(MemoryItem(item.tenant, item.run_id, item=2))
    assert (await shop.answer(item)).text == "in time"
