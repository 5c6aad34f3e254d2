"""A call of unknown outcome: people say whether it happened, and the run goes on with that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from malha.api.gateway.v1.run_pb2 import ApprovalStatus
from malha.api.run.v1.record_pb2 import Decision, Effect
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.errors import ErrorReason, MalhaError
from malha.testing.planner import Crash, MemoryItem, asks, found, says
from malha.testing.plant import Plant

APPROVE, REJECT, END = Decision.DECISION_APPROVE, Decision.DECISION_REJECT, Decision.DECISION_END_RUN
HAPPENED, DID_NOT_HAPPEN = Decision.DECISION_HAPPENED, Decision.DECISION_DID_NOT_HAPPEN


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
