"""Texts told while they are written: only what the guard let through, and at no cost to the run."""

from __future__ import annotations

import asyncio

import pytest

from malha.api.guard.v1.guard_service_pb2 import Stage
from malha.api.run.v1.record_pb2 import Abandonment, FinalStatus, StepOutcome
from malha.run import DELTA, LiveText
from malha.testing.planner import MODEL_MICROUSD, MemoryItem, asks, says
from malha.testing.shop import Shop, until
from malha_planner import speaking
from malha_planner.ports import NoAnswerError


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for, so that each piece is told by itself."""
    monkeypatch.setattr(speaking, "GATHER_SECONDS", 0.0)


async def told(shop: Shop) -> list[str]:
    """The deltas' texts, opened."""
    return [
        (await shop.sealer.open(delta.tenant, delta.run_id, DELTA, delta.content)).text
        for delta in shop.deltas.told
    ]


async def assembled(shop: Shop) -> str:
    text = LiveText()
    for delta, content in zip(shop.deltas.told, await told(shop), strict=True):
        text.take(delta, content)
    return text.text


async def streamed(shop: Shop, *pieces: str) -> MemoryItem:
    """A run whose model says these, one after the other."""
    shop.model.said_before = list(pieces)
    shop.model.script.append(says("".join(pieces)))
    item = await shop.accept(stream=True)
    await shop.run(item)
    return item


async def test_what_is_told_is_the_answer_and_is_told_while_it_is_written(shop: Shop) -> None:
    shop.model.hold = asyncio.Event()
    shop.model.said_before = ["It is ", "forty, "]
    shop.model.script = [says("It is forty, they say.")]
    item = await shop.accept(stream=True)
    running = asyncio.create_task(shop.run(item))

    async def heard() -> bool:
        return await assembled(shop) == "It is forty, "

    await until(heard)
    assert not (await shop.state(item)).final
    shop.model.hold.set()
    await running
    assert await assembled(shop) == (await shop.answer(item)).text == "It is forty, they say."
    state = await shop.state(item)
    assert state.steps[0].finished is not None
    assert state.steps[0].finished.verdict.streamed
    assert not [one for one in shop.guard.checked if one.stage == Stage.STAGE_OUTPUT], "judged once"
    first = shop.deltas.told[0]
    assert (first.key, first.step, first.epoch) == (state.steps[0].key, 1, state.epoch)


async def test_a_run_that_nobody_asked_to_stream_is_not_streamed(shop: Shop) -> None:
    shop.model.script = [asks(("add", {"a": 17, "b": 23}), text="Let me add."), says("40")]
    item = await shop.accept()
    await shop.run(item)
    assert (await shop.answer(item)).text == "40"
    assert not shop.model.listened
    assert not shop.guard.streamed
    assert not shop.deltas.told


async def test_no_delta_can_be_read_where_the_journals_contents_cannot(shop: Shop) -> None:
    item = await streamed(shop, "a telling word ", "and more")
    for delta in shop.deltas.told:
        assert (delta.tenant, delta.run_id) == (item.tenant, item.run_id)
        assert b"telling" not in delta.SerializeToString()
        assert delta.content.ciphertext


async def test_a_secret_cut_in_two_is_never_told(shop: Shop) -> None:
    item = await streamed(shop, "the sec", "ret is se", "cret now")
    assert await assembled(shop) == (await shop.answer(item)).text == "the [masked] is [masked] now"
    assert not [text for text in await told(shop) if "secret" in text]


async def test_a_block_in_the_middle_takes_back_what_was_told(shop: Shop) -> None:
    item = await streamed(shop, "so far so good, ", "now poison ", "and more")
    assert await assembled(shop) == (await shop.answer(item)).text == "[withheld]"
    assert [delta.reset for delta in shop.deltas.told][-1]
    assert not [text for text in await told(shop) if "poison" in text]
    finished = (await shop.state(item)).steps[0].finished
    assert finished is not None
    assert finished.outcome == StepOutcome.STEP_OUTCOME_BLOCKED


async def test_without_the_guard_nothing_is_told_and_the_run_ends_as_it_would(shop: Shop) -> None:
    shop.guard.deaf = True
    item = await streamed(shop, "the sec", "ret is out")
    assert not shop.deltas.told
    assert (await shop.answer(item)).text == "the [masked] is out"
    finished = (await shop.state(item)).steps[0].finished
    assert finished is not None
    assert not finished.verdict.streamed, "it was judged whole"


async def test_a_model_that_said_something_else_than_was_heard_is_judged_whole(shop: Shop) -> None:
    shop.model.said_before = ["never mind "]
    shop.model.script = [says("a secret")]
    item = await shop.accept(stream=True)
    await shop.run(item)
    assert (await shop.answer(item)).text == "a [masked]"


async def test_the_text_of_each_step_is_told_as_its_own(shop: Shop) -> None:
    shop.model.script = [asks(("add", {"a": 17, "b": 23}), text="Let me add."), says("It is 40.")]
    item = await shop.accept(stream=True)
    await shop.run(item)
    assert [(delta.step, delta.offset) for delta in shop.deltas.told] == [(1, 0), (1, 7), (3, 0), (3, 6)]
    assert await told(shop) == ["Let me ", "add.", "It is ", "40."]


async def test_another_attempt_begins_with_a_reset(shop: Shop) -> None:
    shop.model.failures = [NoAnswerError("lost")]
    item = await streamed(shop, "It is ", "forty")
    first, second = dict.fromkeys(delta.key for delta in shop.deltas.told)
    assert first != second
    assert [delta.reset for delta in shop.deltas.told if delta.key == first] == [False]
    assert next(delta for delta in shop.deltas.told if delta.key == second).reset
    assert await assembled(shop) == (await shop.answer(item)).text


async def test_of_an_answer_that_is_cut_what_came_is_settled_and_told(shop: Shop) -> None:
    shop.model.failures = [NoAnswerError("lost")]
    item = await streamed(shop, "It is ", "forty")
    state = await shop.state(item)
    abandoned = state.steps[0].abandoned
    assert abandoned is not None
    assert abandoned.how == Abandonment.ABANDONMENT_NO_ANSWER
    assert (abandoned.usage.input_tokens, abandoned.usage.output_tokens) == (7, 1)
    assert abandoned.cost.amount_microusd == MODEL_MICROUSD, "not the ceiling"
    assert shop.ledger.spent == 2 * MODEL_MICROUSD
    assert state.finished is not None
    assert state.finished.usage.input_tokens == state.usage.input_tokens == 14
    assert state.finished.cost == state.cost


@pytest.mark.parametrize("tells", [False, True])
async def test_of_a_model_that_thinks_unseen_a_cut_answer_is_paid_at_its_ceiling_unless_it_was_counted_there(
    shop: Shop, tells: bool
) -> None:
    shop.ledger.reasons = True
    shop.model.tells = tells
    shop.model.failures = [NoAnswerError("lost")]
    item = await streamed(shop, "It is ", "forty")
    abandoned = (await shop.state(item)).steps[0].abandoned
    assert abandoned is not None
    assert abandoned.HasField("usage") is tells
    assert abandoned.cost.amount_microusd == (MODEL_MICROUSD if tells else 10 * MODEL_MICROUSD)


async def test_cancelled_in_the_middle_of_a_text_what_was_streamed_is_settled(shop: Shop) -> None:
    shop.model.hold = asyncio.Event()
    shop.model.said_before = ["It is "]
    shop.model.script = [says("It is forty")]
    item = await shop.accept(stream=True)
    running = asyncio.create_task(shop.run(item))

    await until(lambda: bool(shop.deltas.told))
    await shop.cancel(item, "enough")
    await running
    state = await shop.state(item)
    assert state.finished is not None
    assert state.finished.status == FinalStatus.FINAL_STATUS_CANCELLED
    assert state.finished.error_metadata == {"by": "ana"}
    assert state.finished.usage.output_tokens == 1
    assert shop.ledger.spent == MODEL_MICROUSD
    assert shop.ledger.reserved == 0


async def test_a_text_that_goes_on_is_told_whole_again_and_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speaking, "WHOLE_SECONDS", 0.01)
    shop.model.hold = asyncio.Event()
    shop.model.said_before = ["It is ", "forty "]
    shop.model.script = [says("It is forty ")]
    item = await shop.accept(stream=True)
    running = asyncio.create_task(shop.run(item))

    async def repeated() -> bool:
        return (await told(shop)).count("It is forty ") > 2

    await until(repeated)
    shop.model.hold.set()
    await running
    assert {delta.offset for delta in shop.deltas.told if delta.offset} <= {6}


async def test_a_text_is_told_up_to_a_size(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaking, "MOST_BYTES", 8)
    item = await streamed(shop, "It is ", "forty and ", "more")
    assert await told(shop) == ["It is "]
    assert (await shop.answer(item)).text == "It is forty and more"
