"""What a run hears and says passes the guard first."""

from __future__ import annotations

from malha.api.run.v1.chat_pb2 import Citation
from malha.api.run.v1.record_pb2 import Action, FinalStatus, StepOutcome
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.testing.planner import asks, found, says
from malha.testing.shop import Shop


async def test_only_guarded_text_reaches_the_model_and_the_caller(shop: Shop) -> None:
    async def leak(arguments: dict[str, object]) -> ToolResult:
        del arguments
        passage = Citation(marker="[1]", document="secret.md", section="On secret", quote="a secret quote")
        return found("the secret is 42", citations=[passage])

    shop.toolbox.add("leak", leak)
    shop.model.script = [asks(("leak", {})), says("the secret is out [1]")]
    item = await shop.accept()
    await shop.run(item)
    assert shop.model.shown[1][3].text == "the [masked] is 42"
    answer = await shop.answer(item)
    assert answer.text == "the [masked] is out [1]"
    (passage,) = answer.citations
    assert (passage.document, passage.section) == ("[masked].md", "On [masked]")
    assert passage.quote == "a [masked] quote"
    state = await shop.state(item)
    assert state.answered is not None
    assert state.answered.verdict.action == Action.ACTION_MASK


async def test_a_blocked_answer_is_replaced_by_the_guards_and_the_verdict_is_kept(shop: Shop) -> None:
    shop.model.script = [says("here is poison")]
    item = await shop.accept()
    await shop.run(item)
    state = await shop.state(item)
    assert (await shop.answer(item)).text == "[withheld]"
    assert state.answered is not None
    assert state.finished is not None
    assert state.answered.verdict.action == Action.ACTION_BLOCK
    assert list(state.answered.verdict.rules) == ["poison"]
    assert state.finished.status == FinalStatus.FINAL_STATUS_SUCCEEDED


async def test_a_blocked_tool_result_keeps_no_citation(shop: Shop) -> None:
    async def poisoned(arguments: dict[str, object]) -> ToolResult:
        del arguments
        return found("poison", citations=[Citation(marker="[1]", quote="harmless")])

    shop.toolbox.add("poisoned", poisoned)
    shop.model.script = [asks(("poisoned", {})), says("nothing found [1]")]
    item = await shop.accept()
    await shop.run(item)
    step = (await shop.state(item)).steps[1]
    assert step.finished is not None
    assert step.finished.outcome == StepOutcome.STEP_OUTCOME_BLOCKED
    assert not (await shop.answer(item)).citations
