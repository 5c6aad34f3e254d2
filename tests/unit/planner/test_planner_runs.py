"""What a worker makes of a run that nobody disturbs."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from malha.api.run.v1.chat_pb2 import Citation, Role
from malha.api.run.v1.record_pb2 import Claimed, JournalEvent, Record, StepOutcome
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.errors import ErrorReason, MalhaError
from malha.run import Entry
from malha.testing.planner import asks, found, says
from malha.testing.shop import Shop


def kinds(records: list[Record]) -> list[list[str | None]]:
    return [[event.WhichOneof("event") for event in record.events] for record in records]


async def test_two_model_calls_and_a_tool_are_six_records_and_four_calls_of_cost(shop: Shop) -> None:
    shop.model.script = [asks(("add", {"a": 17, "b": 23})), says("It is 40.")]
    item = await shop.accept()
    await shop.run(item)

    assert kinds([entry.record for entry in shop.journal.entries]) == [
        ["accepted"],
        ["claimed"],
        ["step_started"],
        ["step_finished", "step_started"],
        ["step_finished", "step_started"],
        ["step_finished", "answered", "finished"],
    ]
    assert shop.ledger.calls == ["authorize", "authorize", "authorize", "settle"]
    assert [len(check.texts) for check in shop.guard.checked] == [1, 1]
    assert (await shop.answer(item)).text == "It is 40."
    assert item.acks == 1


async def test_how_long_each_call_took_is_measured_by_its_kind(shop: Shop) -> None:
    def measured(kind: str) -> float:
        labels = {"kind": kind, "outcome": "OK"}
        return REGISTRY.get_sample_value("malha_planner_step_seconds_count", labels) or 0.0

    before = measured("model"), measured("tool")
    shop.model.script = [asks(("add", {"a": 17, "b": 23})), says("It is 40.")]
    await shop.run(await shop.accept())
    assert (measured("model") - before[0], measured("tool") - before[1]) == (2, 1)


async def test_a_new_run_is_taken_while_it_is_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.model.script = [says("done")]
    item = await shop.accept()
    taken = asyncio.Event()
    load, append = shop.journal.load, shop.journal.append

    async def load_once_taken(tenant: str, run_id: str, *, after: int = 0) -> list[Entry]:
        await taken.wait()
        return await load(tenant, run_id, after=after)

    async def append_and_tell(record: Record, *, expected: int) -> Entry:
        entry = await append(record, expected=expected)
        taken.set()
        return entry

    monkeypatch.setattr(shop.journal, "load", load_once_taken)
    monkeypatch.setattr(shop.journal, "append", append_and_tell)
    await shop.run(item)
    assert (await shop.answer(item)).text == "done"
    assert item.acks == 1


async def test_a_hint_that_came_late_takes_no_run_from_who_has_it(shop: Shop) -> None:
    item = await shop.accept()
    other = replace(item, item=7)
    claimed = JournalEvent(claimed=Claimed(worker="w", item=other.item, delivery=1))
    record = Record(tenant=item.tenant, run_id=item.run_id, events=[claimed])
    await shop.journal.append(record, expected=item.accepted)
    item.still_queued = {other.item}
    await shop.run(item)
    assert len(shop.journal.entries) == 2
    assert item.acks == 1


async def test_the_model_is_shown_question_calls_and_results_in_order(shop: Shop) -> None:
    shop.model.script = [asks(("add", {"a": 17, "b": 23})), says("40")]
    await shop.run(await shop.accept("what is 17 + 23?"))
    first, second = shop.model.shown
    assert [message.role for message in first] == [Role.ROLE_SYSTEM, Role.ROLE_USER]
    assert first[1].text == "what is 17 + 23?"
    assert second[2].tool_calls[0].tool == "add"
    assert (second[3].role, second[3].tool_call_id, second[3].text) == (Role.ROLE_TOOL, "call-0", "40")


async def test_the_tools_offered_stand_in_the_record_of_each_model_step(shop: Shop) -> None:
    shop.model.script = [says("no need for tools")]
    item = await shop.accept()
    await shop.run(item)
    (step,) = (await shop.state(item)).steps
    assert list(step.started.offered_tools) == ["add", "count", "free"] == shop.model.offered[0]


async def test_a_refused_argument_is_shown_to_the_model_and_the_run_goes_on(shop: Shop) -> None:
    async def picky(arguments: dict[str, object]) -> ToolResult:
        del arguments
        raise MalhaError(ErrorReason.ERROR_REASON_FIELD_INVALID, "a: is required")

    shop.toolbox.add("picky", picky)
    shop.model.script = [asks(("picky", {})), says("I could not.")]
    item = await shop.accept()
    await shop.run(item)
    assert shop.model.shown[1][3].text == "a: is required"
    tool = (await shop.state(item)).steps[1]
    assert tool.finished is not None
    assert tool.finished.outcome == StepOutcome.STEP_OUTCOME_FAILED
    assert tool.finished.error_reason == "FIELD_INVALID"


async def test_a_tool_that_was_not_offered_is_not_asked_for_and_the_model_is_told(shop: Shop) -> None:
    shop.model.script = [asks(("rm_rf", {})), says("sorry")]
    item = await shop.accept()
    await shop.run(item)
    assert shop.toolbox.ran == []
    assert "there is no tool 'rm_rf'" in shop.model.shown[1][3].text
    assert shop.ledger.reserved == 0
    assert (await shop.answer(item)).text == "sorry"


async def test_what_a_model_writes_for_a_tools_name_stays_out_of_what_is_kept_in_the_clear(
    shop: Shop,
) -> None:
    """A name that no tool can have is any text, such as a secret; subscribers to events hear of names."""
    shop.model.script = [asks(("ana's secret", {})), says("sorry")]
    item = await shop.accept()
    await shop.run(item)
    assert b"ana's" not in b"".join(entry.record.SerializeToString() for entry in shop.journal.entries)
    assert 'there is no tool "ana\'s [masked]"' in shop.model.shown[1][3].text


async def test_calls_of_one_message_run_at_the_same_time_each_under_its_own_step_and_key(shop: Shop) -> None:
    both = asyncio.Barrier(2)

    async def meet(arguments: dict[str, object]) -> ToolResult:
        async with asyncio.timeout(5):
            await both.wait()
        return found(str(arguments["name"]))

    shop.toolbox.add("meet", meet)
    shop.model.script = [asks(("meet", {"name": "left"}), ("meet", {"name": "right"})), says("met")]
    item = await shop.accept()
    await shop.run(item)
    steps = (await shop.state(item)).steps
    assert [step.step for step in steps] == [1, 2, 3, 4]
    assert len({step.key for step in steps}) == 4
    assert [message.text for message in shop.model.shown[1][3:]] == ["left", "right"]


async def test_passages_of_two_searches_keep_markers_of_their_own(shop: Shop) -> None:
    async def search(arguments: dict[str, object]) -> ToolResult:
        name = str(arguments["q"])
        return found(f"[1] about {name}", citations=[Citation(marker="[1]", document=f"{name}.md")])

    shop.toolbox.add("search", search)
    shop.model.script = [asks(("search", {"q": "x"})), asks(("search", {"q": "y"})), says("x [1], y [2]")]
    item = await shop.accept()
    await shop.run(item)
    assert shop.model.shown[2][5].text == "[2] about y"
    assert [one.document for one in (await shop.answer(item)).citations] == ["x.md", "y.md"]


async def test_markers_that_a_tool_makes_up_meet_no_others_of_the_run(shop: Shop) -> None:
    async def one(_arguments: dict[str, object]) -> ToolResult:
        return found("See [2].", citations=[Citation(marker="[2]", document="one.md")])

    async def other(_arguments: dict[str, object]) -> ToolResult:
        return found("See [1].", citations=[Citation(marker="[1]", document="other.md")])

    shop.toolbox.add("one", one)
    shop.toolbox.add("other", other)
    shop.model.script = [asks(("one", {})), asks(("other", {})), says("Both [1] and [2].")]
    item = await shop.accept()
    await shop.run(item)
    answer = await shop.answer(item)
    assert [citation.document for citation in answer.citations] == ["one.md", "other.md"]


async def test_a_model_that_is_away_is_asked_again_under_a_new_key_and_the_first_is_released(
    shop: Shop,
) -> None:
    away = MalhaError(ErrorReason.ERROR_REASON_MODEL_UNAVAILABLE, "the provider is away")
    shop.model.failures = [away]
    shop.model.script = [says("here I am")]
    item = await shop.accept()
    await shop.run(item)
    first, second = (await shop.state(item)).steps
    assert (first.step, first.leg, second.step, second.leg) == (1, 1, 1, 2)
    assert shop.ledger.spent == 10
    assert (await shop.answer(item)).text == "here I am"


async def test_a_model_that_refuses_ends_the_run_at_once(shop: Shop) -> None:
    shop.model.failures = [MalhaError(ErrorReason.ERROR_REASON_MODEL_REFUSED, "no such model")]
    item = await shop.accept()
    await shop.run(item)
    assert await shop.failure(item) == ("MODEL_REFUSED", "no such model")
    assert len(shop.model.shown) == 1
    assert item.acks == 1


async def test_an_agent_that_is_gone_fails_the_run_and_names_those_there_are(shop: Shop) -> None:
    item = await shop.accept(agent="retired")
    await shop.run(item)
    reason, text = await shop.failure(item)
    assert reason == "AGENT_NOT_FOUND"
    assert "helper" in text


async def test_a_run_whose_time_is_up_fails_and_pays_the_ceiling_of_what_was_cut_off(shop: Shop) -> None:
    shop.model.hold = asyncio.Event()
    shop.model.script = [says("too late")]
    item = await shop.accept(wall_seconds=0.15)
    await shop.run(item)
    assert (await shop.failure(item))[0] == "DEADLINE_EXCEEDED"
    assert shop.ledger.spent == 100
    assert shop.ledger.reserved == 0


async def test_a_record_too_large_for_one_message_becomes_several(shop: Shop) -> None:
    async def large(arguments: dict[str, object]) -> ToolResult:
        del arguments
        return found("x" * 250_000)

    shop.toolbox.add("large", large)
    calls: list[tuple[str, dict[str, object]]] = [("large", {"n": n}) for n in range(5)]
    shop.model.script = [asks(*calls), says("a lot")]
    item = await shop.accept()
    await shop.run(item)
    assert (await shop.answer(item)).text == "a lot"
