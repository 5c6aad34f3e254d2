"""A call that people do not let happen, in words or by not being there in time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from malha.api.run.v1.record_pb2 import Decision, StepOutcome
from malha.errors import MalhaError
from malha.testing.planner import asks, says
from malha.testing.plant import Plant
from malha_planner.approval_policy import ApprovalPolicy

APPROVE, REJECT, END = Decision.DECISION_APPROVE, Decision.DECISION_REJECT, Decision.DECISION_END_RUN


async def test_a_rejection_is_an_observation_with_the_comment_and_the_run_goes_on(plant: Plant) -> None:
    plant.model.script = [asks(("stop", {"line": 3})), says("I left it running")]
    item = await plant.asked()
    await plant.people.say(item.run_id, REJECT, comment="line 3 is under repair, the secret way")
    await plant.again(item)
    assert plant.stopped == []
    assert (await plant.answer(item)).text == "I left it running"
    shown = plant.model.shown[-1][-1].text
    assert "line 3 is under repair, the [masked] way" in shown
    step = (await plant.state(item)).steps[1]
    assert step.finished is not None
    assert (step.finished.outcome, step.finished.error_reason) == (
        StepOutcome.STEP_OUTCOME_BLOCKED,
        "APPROVAL_REJECTED",
    )
    assert plant.ledger.spent == 20, "two model calls and no tool"


async def test_a_rejection_ends_the_run_where_the_agent_says_so(plant: Plant) -> None:
    plant.approvals = ApprovalPolicy(rejection_ends_run=True)
    plant.model.script = [asks(("stop", {"line": 3})), says("never")]
    item = await plant.asked()
    await plant.people.say(item.run_id, REJECT, comment="no")
    await plant.again(item)
    reason, text = await plant.failure(item)
    assert reason == "APPROVAL_REJECTED"
    assert text == "A person did not let stop be called: no"
    assert plant.stopped == []


async def test_a_person_may_end_the_run_whatever_the_agent_says(plant: Plant) -> None:
    plant.model.script = [asks(("stop", {"line": 3}), ("stop", {"line": 4})), says("never")]
    item = await plant.asked()
    await plant.people.say(item.run_id, END, "ana")
    await plant.again(item)
    assert (await plant.failure(item))[0] == "APPROVAL_REJECTED"


@pytest.mark.parametrize("ends", [False, True])
async def test_nobody_in_time_is_a_rejection_by_the_journals_time(plant: Plant, ends: bool) -> None:
    plant.approvals = ApprovalPolicy(expires_seconds=3600, rejection_ends_run=ends)
    plant.model.script = [asks(("stop", {"line": 3})), says("nobody was there")]
    item = await plant.asked()
    plant.clock.advance(3599)
    await plant.again(item)
    assert (await plant.state(item)).parked is not None, "an early hint changes nothing"
    plant.clock.advance(1.5)
    await plant.again(item)
    state = await plant.state(item)
    assert plant.stopped == []
    if ends:
        assert (await plant.failure(item))[0] == "APPROVAL_EXPIRED"
    else:
        assert (await plant.answer(item)).text == "nobody was there"
        assert state.steps[1].finished is not None
        assert state.steps[1].finished.error_reason == "APPROVAL_EXPIRED"


async def test_a_decision_that_is_stored_too_late_does_not_count_and_says_so(plant: Plant) -> None:
    plant.approvals = ApprovalPolicy(expires_seconds=3600)
    plant.model.script = [asks(("stop", {"line": 3})), says("nobody was there")]
    item = await plant.asked()
    plant.clock.advance(3601)
    for _ in range(2):
        with pytest.raises(MalhaError) as late:
            await plant.people.say(item.run_id, APPROVE)
        assert late.value.reason_name == "APPROVAL_EXPIRED"
    await plant.again(item)
    assert plant.stopped == []
    assert "run.decided" not in await plant.told(item)


async def test_days_of_waiting_count_against_no_deadline(plant: Plant) -> None:
    plant.approvals = ApprovalPolicy(expires_seconds=30 * 24 * 3600)
    plant.model.script = [asks(("stop", {"line": 3})), says("stopped")]
    item = await plant.asked()
    plant.clock.advance(timedelta(days=6).total_seconds())
    await plant.people.say(item.run_id, APPROVE)
    await plant.again(item)
    assert (await plant.answer(item)).text == "stopped"
