"""A worker that dies while people are asked: they are asked once, and what they allowed is done once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from malha.api.run.v1.record_pb2 import Decision, Record
from malha.run import Entry
from malha.testing.planner import Crash, CrashAt, MemoryItem, asks, says
from malha.testing.plant import Plant

APPROVE = Decision.DECISION_APPROVE


@pytest.mark.parametrize("boundary", ["before_tool_started", "after_tool_started", "tool_returned"])
async def test_a_worker_that_dies_after_the_decision_asks_nobody_again(plant: Plant, boundary: str) -> None:
    plant.model.script = [asks(("stop", {"line": 3})), says("stopped")]
    item = await plant.asked()
    await plant.people.say(item.run_id, APPROVE)
    hint = MemoryItem(item.tenant, item.run_id, item=2, time=plant.clock.now())
    await plant.run(await plant.crash(hint, CrashAt(boundary)))
    assert plant.stopped == [3]
    assert (await plant.answer(item)).text == "stopped"
    assert plant.ledger.reserved == 0


@pytest.mark.parametrize("stored", [False, True], ids=["before it is stored", "after it is stored"])
@pytest.mark.parametrize("nth", range(1, 9))
async def test_a_worker_killed_at_any_append_asks_once_and_acts_once(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, nth: int, stored: bool
) -> None:
    append, appends = plant.journal.append, 0

    async def dies(record: Record, *, expected: int) -> Entry:
        nonlocal appends
        if record.events[0].WhichOneof("event") in ("accepted", "decided"):
            return await append(record, expected=expected)
        appends += 1
        if appends != nth:
            return await append(record, expected=expected)
        if stored:
            await append(record, expected=expected)
        raise Crash

    monkeypatch.setattr(plant.journal, "append", dies)
    plant.model.script = [asks(("stop", {"line": 3}), ("add", {"a": 1})), says("stopped")]
    item = replace(await plant.accept(), time=plant.clock.now())
    delivery = crashes = 0
    while not (state := await plant.state(item)).final:
        if state.parked is not None and not state.decided:
            await plant.people.say(item.run_id, APPROVE)
            item, delivery = replace(item, item=item.item + 1, accepted=0), 0  # its hint
        delivery += 1
        try:
            await plant.run(replace(item, delivery=delivery))
        except Crash:
            crashes += 1
    assert crashes == 1
    assert plant.stopped == [3]
    assert (await plant.answer(item)).text == "stopped"
    assert (await plant.told(item)).count("run.approval_requested") == 1
    assert (await plant.told(item)).count("run.decided") == 1
    assert plant.ledger.reserved == 0
