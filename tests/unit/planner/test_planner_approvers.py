"""Who must approve what cannot be undone: two different people, and never the one who asked."""

from __future__ import annotations

import asyncio

import pytest

from malha.api.gateway.v1.run_pb2 import RunStatus
from malha.api.run.v1.record_pb2 import Decision
from malha.errors import MalhaError
from malha.testing.planner import asks, says
from malha.testing.plant import Plant

APPROVE, REJECT = Decision.DECISION_APPROVE, Decision.DECISION_REJECT


async def test_a_critical_call_waits_for_two_different_people(plant: Plant) -> None:
    plant.model.script = [asks(("scrap", {"line": 3})), says("scrapped")]
    item = await plant.asked()
    run = await plant.people.say(item.run_id, APPROVE, "bea")
    assert run.status == RunStatus.RUN_STATUS_WAITING
    await plant.again(item)
    assert plant.stopped == []
    with pytest.raises(MalhaError) as twice:
        await plant.people.say(item.run_id, APPROVE, "bea")
    assert twice.value.reason_name == "APPROVAL_DECIDED"
    with pytest.raises(MalhaError) as own:
        await plant.people.say(item.run_id, APPROVE, "ana")
    assert own.value.reason_name == "APPROVER_NOT_ALLOWED"
    await plant.people.say(item.run_id, APPROVE, "carl")
    await plant.again(item)
    assert plant.stopped == [3]
    assert list((await plant.state(item)).steps[1].started.clearance.approved_by) == ["bea", "carl"]


async def test_who_started_a_run_may_always_reject_its_calls(plant: Plant) -> None:
    plant.model.script = [asks(("scrap", {"line": 3})), says("left alone")]
    item = await plant.asked()
    await plant.people.say(item.run_id, REJECT, "ana", comment="I changed my mind")
    await plant.again(item)
    assert plant.stopped == []
    assert (await plant.answer(item)).text == "left alone"


async def test_two_people_who_approve_at_the_same_moment_both_count(plant: Plant) -> None:
    plant.model.script = [asks(("scrap", {"line": 3})), says("scrapped")]
    item = await plant.asked()
    (about,) = await plant.people.shown(item.run_id)
    say = plant.people.say
    await asyncio.gather(*(say(item.run_id, APPROVE, by, about=about) for by in ("bea", "carl")))
    await plant.again(item)
    assert plant.stopped == [3]


async def test_one_person_who_approves_twice_at_the_same_moment_counts_once(plant: Plant) -> None:
    plant.model.script = [asks(("scrap", {"line": 3})), says("scrapped")]
    item = await plant.asked()
    (about,) = await plant.people.shown(item.run_id)
    said = [plant.people.say(item.run_id, APPROVE, "bea", about=about) for _ in range(3)]
    answers = await asyncio.gather(*said, return_exceptions=True)
    refused = [answer.reason_name for answer in answers if isinstance(answer, MalhaError)]
    assert refused == ["APPROVAL_DECIDED", "APPROVAL_DECIDED"]
    await plant.again(item)
    assert plant.stopped == []
