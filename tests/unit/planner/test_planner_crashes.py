"""Kill the worker between any two writes: the next one goes on, and nothing happens twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from malha import errors
from malha.api.run.v1.record_pb2 import Abandonment, Effect, FinalStatus, ParkReason, StepOutcome
from malha.api.tools.v1.tools_service_pb2 import ExecuteRequest, ExecuteResponse, ToolResult
from malha.errors import MalhaError, reason_named
from malha.testing.planner import Crash, CrashAt, MemoryItem, asks, found, says
from malha.testing.records import ended
from malha.testing.shop import Shop, until

BOUNDARIES = [
    ("before_model_started", 1),
    ("after_model_started", 1),
    ("model_returned", 1),
    ("before_tool_started", 1),
    ("after_tool_started", 1),
    ("tool_returned", 1),
    ("after_tool_result", 1),
    ("before_model_started", 2),
    ("after_model_started", 2),
    ("model_returned", 2),
    ("before_final", 1),
]


@pytest.mark.parametrize(("boundary", "times"), BOUNDARIES)
async def test_a_run_killed_at_any_boundary_ends_as_it_would_have_and_counts_once(
    shop: Shop, boundary: str, times: int
) -> None:
    shop.model.script = [asks(("count", {})), says("done")]
    item = await shop.accept()
    again = await shop.crash(item, CrashAt(boundary, times))
    await shop.run(again)

    state = await shop.state(item)
    assert state.finished is not None
    assert state.finished.status == FinalStatus.FINAL_STATUS_SUCCEEDED
    assert (await shop.answer(item)).text == "done"
    assert shop.counted == 1
    assert shop.ledger.reserved == 0, "money is held for ever"
    assert state.finished.cost.amount_microusd == state.cost.amount_microusd == shop.ledger.spent
    assert again.acks == 1


@pytest.mark.parametrize("tool", ["count", "free"])
@pytest.mark.parametrize(("boundary", "times"), BOUNDARIES)
async def test_every_call_is_in_the_ledger_whether_it_cost_anything_or_not(
    shop: Shop, boundary: str, times: int, tool: str
) -> None:
    shop.model.script = [asks((tool, {"a": 1})), says("done")]
    item = await shop.accept()
    await shop.run(await shop.crash(item, CrashAt(boundary, times)))
    state = await shop.state(item)
    assert {step.key for step in state.steps if step.finished} <= set(shop.ledger.entries)
    assert all(settled is not None for _, settled in shop.ledger.entries.values())
    assert sum(step.cost.amount_microusd for step in state.steps if step.cost) == shop.ledger.spent


async def test_a_model_call_without_a_result_is_paid_at_its_ceiling_and_made_again_under_a_new_key(
    shop: Shop,
) -> None:
    shop.model.script = [says("hello")]
    item = await shop.accept()
    await shop.run(await shop.crash(item, CrashAt("after_model_started")))
    first, second = (await shop.state(item)).steps
    assert first.abandoned is not None
    assert first.abandoned.how == Abandonment.ABANDONMENT_SETTLED_AT_CEILING
    assert first.abandoned.cost.amount_microusd == 100
    assert (first.step, second.step) == (1, 1)
    assert first.epoch != second.epoch
    assert shop.ledger.spent == 110


async def test_a_tool_that_never_began_is_tombstoned_and_runs_under_a_new_key(shop: Shop) -> None:
    shop.model.script = [asks(("count", {})), says("done")]
    item = await shop.accept()
    await shop.run(await shop.crash(item, CrashAt("after_tool_started")))
    first, second = (await shop.state(item)).steps[1:3]
    assert first.abandoned is not None
    assert first.abandoned.how == Abandonment.ABANDONMENT_TOMBSTONED
    assert shop.toolbox.ran == [(second.key, "count")]


@pytest.mark.parametrize("reason", ["DEADLINE_EXCEEDED", "CANCELLED"])
async def test_a_tools_service_that_was_silent_and_never_began_is_asked_again_under_a_new_key(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    execute, silent = shop.toolbox.execute, [MalhaError(reason_named(reason), "no word")]

    async def hear(request: ExecuteRequest, *, timeout: float) -> ExecuteResponse:
        if silent:
            raise silent.pop()
        return await execute(request, timeout=timeout)

    monkeypatch.setattr(shop.toolbox, "execute", hear)
    shop.model.script = [asks(("count", {})), says("done")]
    item = await shop.accept()
    await shop.run(item)
    first, second = (await shop.state(item)).steps[1:3]
    assert first.abandoned is not None
    assert first.abandoned.how == Abandonment.ABANDONMENT_TOMBSTONED
    assert shop.toolbox.ran == [(second.key, "count")]
    assert (await shop.answer(item)).text == "done"
    assert shop.ledger.reserved == 0


async def test_a_tool_that_ran_gives_its_recorded_result_under_its_first_key(shop: Shop) -> None:
    shop.model.script = [asks(("count", {})), says("done")]
    item = await shop.accept()
    await shop.run(await shop.crash(item, CrashAt("tool_returned")))
    tool = (await shop.state(item)).steps[1]
    assert tool.finished is not None
    assert shop.toolbox.ran == [(tool.key, "count")]


async def test_a_once_tool_that_began_and_was_never_heard_of_again_parks_the_run(shop: Shop) -> None:
    async def dies(arguments: dict[str, object]) -> ToolResult:
        shop.counted += 1
        raise Crash

    shop.toolbox.add("dies", dies, effect=Effect.EFFECT_ONCE, price=5)
    shop.model.script = [asks(("dies", {})), says("never")]
    item = await shop.accept()
    with pytest.raises(Crash):
        await shop.worker().handle(item)
    again = replace(item, delivery=2)
    await shop.run(again)
    state = await shop.state(item)
    assert state.parked is not None
    assert state.parked.reason == ParkReason.PARK_REASON_OUTCOME_UNKNOWN
    assert state.parked.key == state.steps[1].key
    assert again.acks == 1
    assert shop.counted == 1
    assert shop.ledger.reserved == 0


@pytest.mark.parametrize("reason", ["INTERNAL", "DEADLINE_EXCEEDED", "CANCELLED"])
async def test_a_once_tool_whose_answer_was_lost_is_resolved_and_not_called_failed(
    shop: Shop, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(arguments: dict[str, object]) -> ToolResult:
        shop.counted += 1
        return ToolResult(outcome=StepOutcome.STEP_OUTCOME_OK, text="acted")

    shop.toolbox.add("act", act, effect=Effect.EFFECT_ONCE)
    execute = shop.toolbox.execute

    async def loses_the_answer(request: ExecuteRequest, *, timeout: float) -> ExecuteResponse:
        await execute(request, timeout=timeout)
        raise MalhaError(reason_named(reason), "lost")

    monkeypatch.setattr(shop.toolbox, "execute", loses_the_answer)
    shop.model.script = [asks(("act", {})), says("done")]
    item = await shop.accept()
    await shop.run(item)
    tool = (await shop.state(item)).steps[1]
    assert tool.finished is not None
    assert tool.finished.outcome == StepOutcome.STEP_OUTCOME_OK
    assert shop.counted == 1


async def test_a_parked_run_is_left_alone_until_someone_ends_it(shop: Shop) -> None:
    async def dies(arguments: dict[str, object]) -> ToolResult:
        raise Crash

    shop.toolbox.add("dies", dies, effect=Effect.EFFECT_ONCE)
    shop.model.script = [asks(("dies", {}))]
    item = await shop.accept()
    with pytest.raises(Crash):
        await shop.worker().handle(item)
    await shop.run(replace(item, delivery=2))
    written = len(shop.journal.entries)

    hint = MemoryItem(item.tenant, item.run_id, item=2)
    await shop.run(hint)
    assert (hint.acks, len(shop.journal.entries)) == (1, written)

    await shop.cancel(item)
    await shop.run(MemoryItem(item.tenant, item.run_id, item=3))
    assert (await shop.failure(item))[0] == "CANCELLED"


async def test_a_finished_branch_is_not_run_again_when_its_sibling_dies(shop: Shop) -> None:
    ran: list[str] = []
    release = asyncio.Event()

    async def branch(arguments: dict[str, object]) -> ToolResult:
        name = str(arguments["name"])
        ran.append(name)
        if name == "slow" and not release.is_set():
            await release.wait()
        return found(name)

    shop.toolbox.add("branch", branch)
    shop.model.script = [asks(("branch", {"name": "quick"}), ("branch", {"name": "slow"})), says("both")]
    item = await shop.accept()
    worker = asyncio.create_task(shop.worker().handle(item))

    async def quick_is_written() -> bool:
        return sum(step.finished is not None for step in (await shop.state(item)).steps) == 2

    await until(quick_is_written)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    assert item.silent

    release.set()
    await shop.run(replace(item, delivery=2))
    assert ran == ["quick", "slow", "slow"]
    assert [message.text for message in shop.model.shown[-1][3:]] == ["quick", "slow"]


async def test_an_item_of_a_broken_journal_is_done_with_and_nothing_is_written(shop: Shop) -> None:
    item = await shop.accept()
    await shop.append(item, ended("acme/" + item.run_id + "/1/2/1"))
    written = len(shop.journal.entries)
    await shop.run(item)
    assert (item.acks, len(shop.journal.entries)) == (1, written)


async def test_an_item_for_a_run_that_is_over_or_unknown_is_acknowledged_and_nothing_is_written(
    shop: Shop,
) -> None:
    shop.model.script = [says("done")]
    item = await shop.accept()
    await shop.run(item)
    written = len(shop.journal.entries)
    late, unknown = replace(item, item=2, acks=0), MemoryItem("acme", "a" * 52)
    await shop.run(late)
    await shop.run(unknown)
    assert (late.acks, unknown.acks, len(shop.journal.entries)) == (1, 1, written)


async def test_a_journal_that_is_away_leaves_the_item_to_a_later_delivery(shop: Shop) -> None:
    shop.model.script = [says("done")]
    item = await shop.accept()

    async def away(*_: object, **__: object) -> object:
        raise errors.unavailable("journal")

    worker = shop.worker()
    append, shop.journal.append = shop.journal.append, away  # type: ignore[method-assign,assignment] # the outage
    await worker.handle(item)
    assert item.silent
    shop.journal.append = append  # type: ignore[method-assign] # it is over
    await worker.handle(item)
    assert item.acks == 1
