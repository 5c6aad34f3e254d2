"""Runs that ask people: they stop holding nothing, and go on with what people said."""

from __future__ import annotations

import pytest

from malha.api.gateway.v1.run_pb2 import Approval, RunStatus
from malha.api.run.v1.record_pb2 import Decision, ParkReason, Risk
from malha.api.tools.v1.tools_service_pb2 import ExecuteRequest, ExecuteResponse
from malha.errors import MalhaError
from malha.run import facts
from malha.testing.planner import asks, says
from malha.testing.plant import Plant
from malha_planner.approval_policy import ApprovalPolicy, Preauthorisation

APPROVE, REJECT = Decision.DECISION_APPROVE, Decision.DECISION_REJECT


async def test_a_call_of_high_risk_waits_and_the_waiting_run_holds_nothing(plant: Plant) -> None:
    plant.model.script = [asks(("stop", {"line": 3})), says("stopped")]
    item = await plant.asked()
    state = await plant.state(item)
    assert state.status == RunStatus.RUN_STATUS_WAITING
    assert state.parked is not None
    assert state.parked.reason == ParkReason.PARK_REASON_APPROVAL
    assert state.parked.wake_at.ToDatetime(plant.clock.now().tzinfo) > plant.clock.now()
    parked = facts((await plant.journal.load(item.tenant, item.run_id))[-1], state)[-1]
    assert (parked[0], parked[1].error_reason) == ("run.parked", "APPROVAL_REQUIRED")
    assert state.claim is None
    assert item.acks == 1, "no worker has it"
    assert plant.ledger.reserved == 0
    assert plant.stopped == []
    (approval,) = await plant.people.shown(item.run_id)
    assert approval.tool == "stop"
    assert approval.arguments_json == '{"line":3}'
    assert approval.summary == "stop: stop\n  line = 3"
    assert approval.initiator == "ana"


async def test_approved_it_runs_once_with_exactly_what_was_approved(plant: Plant) -> None:
    plant.model.script = [asks(("stop", {"line": 3})), says("stopped")]
    item = await plant.asked()
    await plant.people.say(item.run_id, APPROVE, comment="go on")
    await plant.again(item)
    assert plant.stopped == [3]
    assert (await plant.answer(item)).text == "stopped"
    started = (await plant.state(item)).steps[1].started
    assert list(started.clearance.approved_by) == ["bea"]
    assert plant.ledger.reserved == 0
    assert await plant.told(item) == [
        "run.accepted",
        "run.claimed",
        "run.step_started",
        "run.step_finished",
        "run.approval_requested",
        "run.parked",
        "run.decided",
        "run.claimed",
        "run.step_started",
        "run.step_finished",
        "run.step_started",
        "run.step_finished",
        "run.finished",
    ]


async def test_a_hint_before_the_decision_is_acknowledged_and_nothing_is_written(plant: Plant) -> None:
    plant.model.script = [asks(("stop", {"line": 3})), says("stopped")]
    item = await plant.asked()
    written = len(plant.journal.entries)
    await plant.again(item)
    assert len(plant.journal.entries) == written


async def test_a_call_of_medium_risk_goes_and_people_are_told(plant: Plant) -> None:
    plant.model.script = [asks(("ring", {"line": 3})), says("rung")]
    item = await plant.asked()
    assert plant.stopped == [3]
    assert "run.notified" in await plant.told(item)
    assert "run.parked" not in await plant.told(item)


async def test_what_needs_no_leave_runs_first_and_all_others_wait_together(plant: Plant) -> None:
    calls: list[tuple[str, dict[str, object]]] = [
        ("stop", {"line": 1}),
        ("add", {"a": 1, "b": 2}),
        ("scrap", {"line": 2}),
        ("ring", {"line": 3}),
    ]
    plant.model.script = [asks(*calls), says("done")]
    item = await plant.asked()
    state = await plant.state(item)
    assert plant.stopped == [3]
    assert sorted(step.started.name for step in state.steps if step.finished) == ["add", "m", "ring"]
    assert not list(state.open_steps())
    stop, scrap = await plant.people.shown(item.run_id)
    assert (stop.step, scrap.step) == (2, 4)
    await plant.people.say(item.run_id, APPROVE, "bea", about=stop)
    await plant.people.say(item.run_id, APPROVE, "bea", about=scrap)
    await plant.again(item)
    assert plant.stopped == [3], "one of them still waits"
    await plant.people.say(item.run_id, REJECT, "carl", about=scrap)
    await plant.again(item)
    assert plant.stopped == [3, 1]
    assert [message.text for message in plant.model.shown[-1][3:]][1] == "3"
    assert (await plant.answer(item)).text == "done"
    assert sum(entry.record.events[-1].HasField("parked") for entry in plant.journal.entries) == 1


async def test_two_equal_calls_are_two_decisions(plant: Plant) -> None:
    plant.model.script = [asks(("stop", {"line": 1}), ("stop", {"line": 1})), says("done")]
    item = await plant.asked()
    first, second = await plant.people.shown(item.run_id)
    assert first.hash == second.hash
    with pytest.raises(MalhaError) as which:
        await plant.people.say(item.run_id, APPROVE, about=Approval(hash=first.hash))
    assert which.value.violations[0][0] == "step"
    await plant.people.say(item.run_id, APPROVE, about=first)
    await plant.people.say(item.run_id, REJECT, about=second)
    await plant.again(item)
    assert plant.stopped == [1]


async def test_what_cannot_wait_goes_as_often_as_declared_and_then_people_are_asked(plant: Plant) -> None:
    declared = Preauthorisation("overheating", "stop", {"properties": {"line": {"maximum": 4}}})
    plant.approvals = ApprovalPolicy(preauthorisations=(declared,))
    plant.model.script = [asks(("stop", {"line": 1})), asks(("stop", {"line": 2})), says("done")]
    item = await plant.asked()
    assert plant.stopped == [1]
    (approval,) = await plant.people.shown(item.run_id)
    assert approval.arguments_json == '{"line":2}'
    state = await plant.state(item)
    assert state.steps[1].started.clearance.preauthorisation == "overheating"
    assert "run.notified" in await plant.told(item)


async def test_arguments_changed_on_the_way_to_the_tool_are_refused_there(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = plant.toolbox.execute

    async def tampered(request: ExecuteRequest, *, timeout: float) -> ExecuteResponse:
        request.arguments_json = '{"line": 4}'
        return await execute(request, timeout=timeout)

    monkeypatch.setattr(plant.toolbox, "execute", tampered)
    plant.model.script = [asks(("stop", {"line": 3})), says("it was refused")]
    item = await plant.asked()
    await plant.people.say(item.run_id, APPROVE)
    await plant.again(item)
    assert plant.stopped == []
    step = (await plant.state(item)).steps[1]
    assert step.finished is not None
    assert step.finished.error_reason == "APPROVAL_MISMATCH"


async def test_a_policy_that_changed_while_people_thought_is_asked_about_anew(plant: Plant) -> None:
    plant.model.script = [asks(("stop", {"line": 3})), says("stopped")]
    item = await plant.asked()
    (old,) = await plant.people.shown(item.run_id)
    await plant.people.say(item.run_id, APPROVE)
    plant.approvals = ApprovalPolicy(version="stricter", risks={"stop": Risk.RISK_CRITICAL})
    await plant.again(item)
    assert plant.stopped == []
    (new,) = await plant.people.shown(item.run_id)
    assert (new.hash != old.hash, new.approvals_needed) == (True, 2)


async def test_a_run_that_waits_for_people_can_be_cancelled(plant: Plant) -> None:
    plant.model.script = [asks(("stop", {"line": 3})), says("never")]
    item = await plant.asked()
    (approval,) = await plant.people.shown(item.run_id)
    await plant.cancel(item)
    with pytest.raises(MalhaError) as moot:
        await plant.people.say(item.run_id, APPROVE, about=approval)
    assert moot.value.reason_name == "APPROVAL_NOT_PENDING"
    await plant.again(item)
    assert (await plant.failure(item))[0] == "CANCELLED"
    with pytest.raises(MalhaError) as over:
        await plant.people.say(item.run_id, APPROVE, about=approval)
    assert over.value.reason_name == "RUN_FINISHED"


async def test_the_summary_passes_the_guard_and_stands_in_the_journal_as_ciphertext(plant: Plant) -> None:
    plant.model.script = [asks(("stop", {"line": "the secret one"})), says("never")]
    item = await plant.asked()
    (approval,) = await plant.people.shown(item.run_id)
    assert approval.summary == 'stop: stop\n  line = "the [masked] one"'
    assert not any(b"the secret one" in entry.record.SerializeToString() for entry in plant.journal.entries)
    assert not any(b"the [masked] one" in entry.record.SerializeToString() for entry in plant.journal.entries)
