"""What a worker makes of a model's reply that no well-behaved model gives."""

from __future__ import annotations

import pytest

from malha.api.run.v1.record_pb2 import FinalStatus
from malha.testing.planner import asks, says
from malha.testing.plant import Plant
from malha.testing.shop import Shop
from malha_planner.approval_policy import fits
from malha_planner.ports import ModelReply

LONG = "words " * 170_000


@pytest.mark.parametrize(
    "reply",
    [says(LONG), says("secret " * 110_000), asks(("add", {"a": LONG})), asks((LONG, {}))],
    ids=["text", "masked", "arguments", "name"],
)
async def test_a_reply_that_no_record_holds_ends_the_run_and_is_paid_once(
    shop: Shop, reply: ModelReply
) -> None:
    shop.model.script = [reply, says("done")]
    item = await shop.accept()
    await shop.run(item)

    reason, text = await shop.failure(item)
    assert reason == "MODEL_REFUSED"
    assert "too long" in text
    assert len(shop.model.shown) == 1
    assert (shop.ledger.spent, shop.ledger.reserved) == (10, 0)
    assert item.acks == 1


async def test_a_long_reply_that_a_record_holds_is_an_answer(shop: Shop) -> None:
    text = LONG[:700_000].rstrip()
    shop.model.script = [says(text)]
    item = await shop.accept()
    await shop.run(item)
    state = await shop.state(item)
    assert state.finished is not None
    assert state.finished.status == FinalStatus.FINAL_STATUS_SUCCEEDED
    assert (await shop.answer(item)).text == text


async def test_arguments_nested_too_deeply_to_be_approved_are_told_to_the_model(plant: Plant) -> None:
    reply = asks(("stop", {}))
    reply.message.tool_calls[0].arguments_json = '{"line":' + "[" * 1020 + "]" * 1020 + "}"
    plant.model.script = [reply, says("I see.")]
    item = await plant.asked()
    assert (await plant.answer(item)).text == "I see."
    assert "nested too deeply" in plant.model.shown[1][-1].text
    assert plant.stopped == []


def test_what_is_nested_too_deeply_fits_no_schema_that_follows_it_down() -> None:
    nest: list[object] = []
    for _ in range(1000):
        nest = [nest]
    assert not fits({"items": {"$ref": "#"}}, nest)
    assert fits({"items": {"$ref": "#"}}, [[[]]])
