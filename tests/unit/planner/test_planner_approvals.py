"""Runs that ask people: they stop holding nothing, and go on with what people said."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from malha.api.gateway.v1.run_pb2 import Approval, ApprovalStatus, RunStatus
from malha.api.run.v1.record_pb2 import Decision, Effect, ParkReason, Record, Risk, StepOutcome
from malha.api.tools.v1.tools_service_pb2 import ExecuteRequest, ExecuteResponse, ToolResult
from malha.errors import ErrorReason, MalhaError
from malha.run import Entry, facts, fold
from malha.testing.clock import FakeClock
from malha.testing.people import People
from malha.testing.planner import Crash, CrashAt, MemoryItem, asks, found, says
from malha.testing.shop import Shop
from malha_planner.approval_policy import ApprovalPolicy, Preauthorisation

APPROVE, REJECT, END = Decision.DECISION_APPROVE, Decision.DECISION_REJECT, Decision.DECISION_END_RUN
HAPPENED, DID_NOT_HAPPEN = Decision.DECISION_HAPPENED, Decision.DECISION_DID_NOT_HAPPEN


class Plant(Shop):
    """A shop with lines to stop; `stopped` holds the lines, in the order they were."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        super().__init__(self.clock)
        self.stopped: list[object] = []
        self.items = 0
        self.people = People(self.journal, self.sealer, self.people_planner)  # type: ignore[arg-type]
        for name, risk in (
            ("ring", Risk.RISK_MEDIUM),
            ("stop", Risk.RISK_HIGH),
            ("scrap", Risk.RISK_CRITICAL),
        ):
            self.toolbox.add(name, self._stop, effect=Effect.EFFECT_ONCE, price=5, risk=risk)

    people_planner = None

    async def _stop(self, arguments: dict[str, object]) -> ToolResult:
        self.stopped.append(arguments["line"])
        return found(f"line {arguments['line']} stands")

    async def asked(self) -> MemoryItem:
        """A run, worked on until it waits or is over."""
        item = replace(await self.accept(), time=self.clock.now())
        await self.run(item)
        return item

    async def again(self, item: MemoryItem) -> MemoryItem:
        """A new hint of the run, worked on."""
        self.items += 1
        hint = MemoryItem(item.tenant, item.run_id, item=100 + self.items, time=self.clock.now())
        await self.run(hint)
        assert hint.acks == 1
        return hint

    async def told(self, item: MemoryItem) -> list[str]:
        """What is announced of the run."""
        entries = await self.journal.load(item.tenant, item.run_id)
        return [
            name for count, entry in enumerate(entries, 1) for name, _ in facts(entry, fold(entries[:count]))
        ]


@pytest.fixture
def plant() -> Plant:
    return Plant()


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


async def test_a_call_of_medium_risk_goes_and_people_are_told(plant: Plant) -> None:
    plant.model.script = [asks(("ring", {"line": 3})), says("rung")]
    item = await plant.asked()
    assert plant.stopped == [3]
    assert "run.notified" in await plant.told(item)
    assert "run.parked" not in await plant.told(item)


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


# a call of unknown outcome


class Unknown(Plant):
    """Its tool "dies" acts, and its process with it."""

    def __init__(self) -> None:
        super().__init__()
        self.toolbox.add("dies", self._dies, effect=Effect.EFFECT_ONCE, price=5)
        self.alive = False

    async def _dies(self, arguments: dict[str, object]) -> ToolResult:
        self.counted += 1
        if not self.alive:
            raise Crash
        return found("acted")

    async def parked(self, *calls: str) -> MemoryItem:  # type: ignore[override] # of another kind
        self.model.script = [asks(*((call, {}) for call in calls)), says("done")]
        item = replace(await self.accept(), time=self.clock.now())
        with pytest.raises((Crash, BaseExceptionGroup)):
            await self.worker().handle(item)
        await self.run(replace(item, delivery=2))
        return item


@pytest.fixture
def unknown() -> Unknown:
    return Unknown()


async def test_it_happened_with_this_result(unknown: Unknown) -> None:
    item = await unknown.parked("dies")
    (approval,) = await unknown.people.shown(item.run_id)
    assert approval.outcome_unknown
    await unknown.people.say(item.run_id, HAPPENED, result="the secret line was written")
    await unknown.again(item)
    assert unknown.counted == 1
    assert unknown.model.shown[-1][-1].text == "the [masked] line was written"
    assert (await unknown.answer(item)).text == "done"
    assert unknown.ledger.spent == 25
    assert unknown.ledger.reserved == 0


async def test_it_did_not_happen_so_it_runs_again_under_a_new_key(unknown: Unknown) -> None:
    item = await unknown.parked("dies")
    await unknown.people.say(item.run_id, DID_NOT_HAPPEN)
    unknown.alive = True
    await unknown.again(item)
    first, second = (await unknown.state(item)).steps[1:3]
    assert (first.step, second.step) == (2, 2)
    assert first.key != second.key
    assert (await unknown.answer(item)).text == "done"
    assert unknown.ledger.spent == 25, "what did not happen costs nothing"
    assert unknown.ledger.reserved == 0


async def test_a_person_may_end_a_run_of_unknown_outcome(unknown: Unknown) -> None:
    item = await unknown.parked("dies")
    await unknown.people.say(item.run_id, END, comment="we will look ourselves")
    await unknown.again(item)
    reason, text = await unknown.failure(item)
    assert reason == "OUTCOME_UNKNOWN"
    assert text.endswith("the run was ended: we will look ourselves")


@pytest.mark.parametrize(("said", "spent"), [(HAPPENED, 10 + 5), (DID_NOT_HAPPEN, 10)])
async def test_what_a_person_said_of_a_call_stands_in_the_end_of_a_run_that_is_cancelled_then(
    unknown: Unknown, said: Decision, spent: int
) -> None:
    item = await unknown.parked("dies")
    await unknown.people.say(item.run_id, said, result="it did" if said == HAPPENED else "")
    await unknown.cancel(item)
    await unknown.again(item)
    assert (await unknown.failure(item))[0] == "CANCELLED"
    call = (await unknown.state(item)).steps[1]
    assert (call.finished is not None) is (said == HAPPENED)
    assert unknown.ledger.spent == spent


@pytest.mark.parametrize("decision", [APPROVE, REJECT])
async def test_what_began_is_not_approved_or_rejected_any_more(unknown: Unknown, decision: Decision) -> None:
    item = await unknown.parked("dies")
    with pytest.raises(MalhaError) as refused:
        await unknown.people.say(item.run_id, decision)
    assert refused.value.violations[0][0] == "decision"


async def test_an_outcome_is_said_once(unknown: Unknown) -> None:
    item = await unknown.parked("dies")
    (approval,) = await unknown.people.shown(item.run_id)
    await unknown.people.say(item.run_id, HAPPENED, result="it did")
    with pytest.raises(MalhaError) as twice:
        await unknown.people.say(item.run_id, DID_NOT_HAPPEN, "carl", about=approval)
    assert twice.value.reason_name == "APPROVAL_DECIDED"


async def test_a_result_that_the_guard_withholds_decides_nothing(unknown: Unknown) -> None:
    item = await unknown.parked("dies")
    with pytest.raises(MalhaError) as blocked:
        await unknown.people.say(item.run_id, HAPPENED, result="poison")
    assert blocked.value.reason_name == "GUARD_BLOCKED"
    assert blocked.value.metadata["stage"] == "tool_result"
    (approval,) = await unknown.people.shown(item.run_id)
    assert approval.status == ApprovalStatus.APPROVAL_STATUS_PENDING


async def test_several_outcomes_are_said_one_after_the_other_and_their_sibling_is_heard(
    unknown: Unknown,
) -> None:
    async def loses(arguments: dict[str, object]) -> ToolResult:
        unknown.counted += 1
        raise MalhaError(ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN, "nobody knows")

    unknown.toolbox.add("loses", loses, effect=Effect.EFFECT_ONCE, price=5)
    unknown.model.script = [asks(("loses", {}), ("add", {"a": 1}), ("loses", {})), says("done")]
    item = await unknown.asked()
    assert [step.step for step in (await unknown.state(item)).steps if step.finished] == [1, 3]
    for said in ("first", "second"):
        (approval,) = await unknown.people.shown(item.run_id)
        await unknown.people.say(item.run_id, HAPPENED, result=said, about=approval)
        await unknown.again(item)
    assert unknown.counted == 2
    assert [message.text for message in unknown.model.shown[-1][3:]] == ["first", "1", "second"]
    assert (await unknown.answer(item)).text == "done"


# a worker that dies at any append


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
