"""Every call of a run is paid for: none is made without money, and money that may come is waited for."""

from __future__ import annotations

import asyncio

import pytest

from malha.api.run.v1.record_pb2 import Record
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.errors import reason_named
from malha.testing.planner import asks, found, says
from malha.testing.shop import Shop, until


def kinds(records: list[Record]) -> list[list[str | None]]:
    return [[event.WhichOneof("event") for event in record.events] for record in records]


async def test_every_step_is_settled_and_the_final_record_sums_what_the_ledger_holds(shop: Shop) -> None:
    shop.model.script = [asks(("add", {"a": 1})), says("1")]
    item = await shop.accept()
    await shop.run(item)
    state = await shop.state(item)
    assert state.finished is not None
    assert shop.ledger.reserved == 0
    assert state.finished.cost.amount_microusd == shop.ledger.spent == 10 + 5 + 10
    assert state.finished.usage.input_tokens == 14
    assert state.cost.amount_microusd == shop.ledger.spent


async def test_a_tool_that_costs_nothing_takes_no_round_trip_of_its_own_and_is_entered_all_the_same(
    shop: Shop,
) -> None:
    shop.model.script = [asks(("free", {})), says("1")]
    item = await shop.accept()
    await shop.run(item)

    assert kinds([entry.record for entry in shop.journal.entries])[3:5] == [
        ["step_finished", "step_started"],
        ["step_finished", "step_settled", "step_started"],
    ]
    assert shop.ledger.calls == ["authorize", "authorize", "settle"]
    state = await shop.state(item)
    assert set(shop.ledger.entries) == {step.key for step in state.steps}
    assert set(shop.ledger.agents.values()) == {("helper", "7")}
    assert [step.cost and step.cost.amount_microusd for step in state.steps] == [10, 0, 10]
    assert state.finished is not None
    assert state.finished.cost.amount_microusd == state.cost.amount_microusd == shop.ledger.spent == 20


async def test_without_money_no_model_is_called_and_the_run_names_the_limit(shop: Shop) -> None:
    shop.ledger.limit = 50
    item = await shop.accept()
    await shop.run(item)
    state = await shop.state(item)
    assert state.finished is not None
    assert state.finished.error_reason == "BUDGET_EXCEEDED"
    assert dict(state.finished.error_metadata) == {
        "scope": "tenant",
        "limit_microusd": "50",
        "left_microusd": "50",
    }
    assert shop.model.shown == []


async def test_a_run_waits_for_money_that_is_held_outside_its_slot(shop: Shop) -> None:
    shop.ledger.limit = 190
    shop.ledger.enter("somebody/else", 100, None)
    shop.model.script = [says("here I am")]
    item = await shop.accept()
    running = asyncio.create_task(shop.run(item))
    await until(lambda: item.rests >= 2)
    assert shop.model.shown == []
    shop.ledger.enter("somebody/else", 100, 0)
    await running
    assert (await shop.answer(item)).text == "here I am"


async def test_where_too_many_wait_for_money_a_run_is_refused_with_the_limit_it_meets(shop: Shop) -> None:
    shop.ledger.limit = 190
    shop.ledger.enter("somebody/else", 100, None)
    item = await shop.accept()
    item.crowded = True
    await shop.run(item)
    assert (await shop.failure(item))[0] == "BUDGET_EXCEEDED"


async def test_a_run_waits_for_money_no_longer_than_its_time(shop: Shop) -> None:
    shop.ledger.limit = 190
    shop.ledger.enter("somebody/else", 100, None)
    item = await shop.accept(wall_seconds=0.3)
    await shop.run(item)
    assert (await shop.failure(item))[0] == "BUDGET_EXCEEDED"
    assert item.rests


async def test_an_answer_is_as_long_as_the_money_for_it(shop: Shop) -> None:
    shop.ledger.fitting_output = 12
    shop.model.script = [says("short")]
    item = await shop.accept()
    await shop.run(item)
    assert (await shop.answer(item)).text == "short"
    assert shop.model.allowed == [12]


async def test_money_that_others_may_give_back_is_waited_for(shop: Shop) -> None:
    shop.ledger.limit = 100
    shop.ledger.enter("another", 40, None)
    shop.model.script = [says("patience")]
    item = await shop.accept()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(shop.worker().handle(item))
        await until(shop.ledger.asked)
        shop.ledger.enter("another", 40, 0)
    assert (await shop.answer(item)).text == "patience"


@pytest.mark.parametrize("refusal", ["DEPENDENCY_UNAVAILABLE", "OVERLOADED", "DEADLINE_EXCEEDED"])
async def test_a_cost_service_that_is_away_or_silent_for_a_moment_is_waited_for(
    shop: Shop, refusal: str
) -> None:
    shop.ledger.away, shop.ledger.refusal = 2, reason_named(refusal)
    shop.model.script = [says("back")]
    item = await shop.accept()
    await shop.run(item)
    assert (await shop.answer(item)).text == "back"


FAILED_CLOSED = ("DEPENDENCY_UNAVAILABLE", "DEADLINE_EXCEEDED")


async def test_no_model_is_called_while_the_cost_service_is_away(shop: Shop) -> None:
    shop.ledger.away = 3  # of a run's last 0.15 seconds two askings, and its first settling
    shop.model.script = [says("for nothing")]
    item = await shop.accept(wall_seconds=0.15)
    await shop.run(item)
    assert (await shop.failure(item))[0] in FAILED_CLOSED
    assert shop.model.shown == []


async def test_no_tool_that_costs_money_is_called_while_the_cost_service_is_away(shop: Shop) -> None:
    async def paid(arguments: dict[str, object]) -> ToolResult:
        del arguments
        return found("for nothing")

    shop.toolbox.add("paid", paid, price=5)
    shop.model.hold = asyncio.Event()
    shop.model.script = [asks(("paid", {})), says("never")]
    item = await shop.accept(wall_seconds=0.3)
    running = asyncio.create_task(shop.run(item))
    await shop.model.entered.wait()
    shop.ledger.away = 4  # a run asks three times in 0.3 seconds, at most
    shop.model.hold.set()
    await running
    assert (await shop.failure(item))[0] in FAILED_CLOSED
    assert shop.toolbox.ran == []
