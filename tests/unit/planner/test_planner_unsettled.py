"""A run that is over and whose money cannot be settled yet: nothing known of it is lost, and it does end."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from malha.api.guard.v1.guard_service_pb2 import CheckRequest, CheckResponse
from malha.api.run.v1.record_pb2 import FinalStatus
from malha.errors import ErrorReason, MalhaError
from malha.run import MAX_CLAIMS
from malha.testing.planner import CrashAt, asks, says
from malha.testing.shop import Shop


async def test_a_cancelled_run_that_could_not_be_settled_five_times_ends_as_cancelled_once_it_can(
    shop: Shop,
) -> None:
    """There is nothing to be replayed in it, and whoever asked for its end waits for that."""
    shop.model.script = [says("never heard")]
    item = await shop.crash(await shop.accept(), CrashAt("after_model_started"))
    await shop.cancel(item, "enough")
    shop.ledger.away, shop.ledger.refusal = 10**6, ErrorReason.ERROR_REASON_INTERNAL
    for _ in range(6):
        await shop.run(item)
        assert item.silent, "what holds money is not over"
        item = replace(item, delivery=item.delivery + 1)
    shop.ledger.away = 0
    await shop.run(item)
    state = await shop.state(item)
    assert state.fruitless_claims == MAX_CLAIMS
    assert await shop.failure(item) == ("CANCELLED", "the run was cancelled by ana: enough")
    assert state.finished is not None
    assert state.finished.status == FinalStatus.FINAL_STATUS_CANCELLED
    assert item.acks == 1
    assert shop.ledger.reserved == 0
    assert shop.ledger.spent == 100 == state.finished.cost.amount_microusd


async def test_what_the_ledger_was_told_otherwise_keeps_no_dead_run_from_its_end(shop: Shop) -> None:
    shop.model.script = [asks(("add", {"a": 1})), says("never heard")]
    item = await shop.crash(await shop.accept(), CrashAt("after_tool_result"))
    for _ in range(MAX_CLAIMS + 1):  # the first of them writes the tool's result
        item = await shop.crash(item, CrashAt("after_model_started"))
    shop.ledger.away, shop.ledger.refusal = 1, ErrorReason.ERROR_REASON_SETTLEMENT_CONFLICT
    await shop.run(item)
    assert (await shop.failure(item))[0] == "TOO_MANY_DELIVERIES"
    assert item.acks == 1


async def test_a_result_that_came_before_the_money_could_be_settled_is_kept_and_paid_as_what_it_was(
    shop: Shop,
) -> None:
    shop.model.script = [asks(("add", {"a": 40})), says("40")]
    shop.model.hold = asyncio.Event()
    item = await shop.accept()
    async with asyncio.timeout(10):
        working = asyncio.create_task(shop.worker().handle(item))
        await shop.model.entered.wait()
        # the tool's reservation and the settlement of what came before it
        shop.ledger.away, shop.ledger.refusal = 2, ErrorReason.ERROR_REASON_INTERNAL
        shop.model.hold.set()
        await working
    assert (item.acks, shop.ledger.away) == (0, 0)
    await shop.run(replace(item, delivery=2))
    assert (await shop.answer(item)).text == "40"
    assert len(shop.model.shown) == 2, "no call was made twice"
    assert shop.ledger.spent == 10 + 5 + 10 == (await shop.state(item)).cost.amount_microusd


async def test_a_tool_that_may_have_acted_is_not_called_again_where_neither_its_result_nor_its_price_was_kept(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard and then the ledger fail while the run ends, so that it does not; the next worker goes on."""
    check, failing = shop.guard.check, 2

    async def fails(request: CheckRequest) -> CheckResponse:
        nonlocal failing
        if not failing:
            return await check(request)
        failing -= 1
        shop.ledger.away, shop.ledger.refusal = 1, ErrorReason.ERROR_REASON_INTERNAL
        raise MalhaError(ErrorReason.ERROR_REASON_INTERNAL, "no judgement")

    monkeypatch.setattr(shop.guard, "check", fails)
    shop.model.script = [asks(("count", {})), says("done")]
    item = await shop.accept()
    await shop.run(item)
    assert (item.acks, failing, shop.ledger.away) == (0, 0, 0)
    await shop.run(replace(item, delivery=2))
    assert (await shop.answer(item)).text == "done"
    assert shop.counted == 1
    assert shop.ledger.spent == 10 + 5 + 10
