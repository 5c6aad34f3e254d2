"""Of two workers at one run, one goes on; the other sends nothing more."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from malha.testing.planner import HoldAt, MemoryItem, asks, says
from malha.testing.shop import Shop


async def test_a_worker_paused_longer_than_its_lease_sends_nothing_more(shop: Shop) -> None:
    shop.model.script = [asks(("count", {})), says("done")]
    item = await shop.accept()
    pause = HoldAt("tool_returned")
    async with asyncio.timeout(10):
        zombie = asyncio.create_task(shop.worker(pause).handle(item))
        await pause.reached.wait()
        owner = replace(item, delivery=2)
        await shop.worker().handle(owner)
        pause.go_on.set()
        await zombie
    assert owner.acks == 1
    assert item.silent, "a zombie's ack deletes the item from under the new owner"
    assert shop.counted == 1
    assert shop.ledger.reserved == 0
    after = [entry.record.epoch for entry in shop.journal.entries if entry.sequence > 5]
    assert set(after) == {5}, "nothing of the zombie's after the takeover"


async def test_a_takeover_ends_the_call_under_way_and_nothing_is_sent(shop: Shop) -> None:
    shop.model.hold = asyncio.Event()
    shop.model.script = [says("from whoever is let through")]
    item = await shop.accept()
    async with asyncio.timeout(10):
        first = asyncio.create_task(shop.worker().handle(item))
        await shop.model.entered.wait()
        shop.model.entered.clear()
        owner = replace(item, delivery=2)
        second = asyncio.create_task(shop.worker().handle(owner))
        await first
        assert item.silent
        shop.model.hold.set()
        await second
    assert owner.acks == 1
    assert (await shop.answer(item)).text == "from whoever is let through"


async def test_a_second_hint_leaves_the_run_to_the_item_that_holds_it(shop: Shop) -> None:
    shop.model.hold = asyncio.Event()
    shop.model.script = [says("once")]
    item = await shop.accept()
    async with asyncio.timeout(10):
        working = asyncio.create_task(shop.worker().handle(item))
        await shop.model.entered.wait()
        hint = MemoryItem(item.tenant, item.run_id, item=2, still_queued={1})
        await shop.worker().handle(hint)
        assert hint.acks == 1
        shop.model.hold.set()
        await working
    assert len(shop.model.shown) == 1
    assert item.acks == 1
