"""A step's time and a run's time: what is cut off is settled honestly, and a step's end is not the run's."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace

import pytest
import structlog.testing

from malha.api.run.v1.record_pb2 import Abandonment
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.clock import SystemClock
from malha.errors import ErrorReason, MalhaError
from malha.testing.planner import CrashAt, asks, found, says
from malha.testing.shop import Shop, until
from malha_planner.ports import NoAnswerError


async def test_a_model_that_does_not_answer_in_its_time_is_paid_at_its_ceiling_and_asked_again(
    shop: Shop,
) -> None:
    shop.model.hold = asyncio.Event()
    shop.model.script = [says("at last")]
    item = await shop.accept(model_seconds=0.05)
    async with asyncio.timeout(10):
        working = asyncio.create_task(shop.worker().handle(item))
        await shop.model.entered.wait()
        shop.model.hold = None  # for the next call; the first one still waits
        await working
    state = await shop.state(item)
    assert (await shop.answer(item)).text == "at last"
    first = state.steps[0].abandoned
    assert first is not None
    assert first.how == Abandonment.ABANDONMENT_NO_ANSWER
    assert first.cost.amount_microusd == 100
    assert state.finished is not None
    assert shop.ledger.spent == 100 + 10 == state.finished.cost.amount_microusd


async def test_a_model_whose_connection_is_lost_is_paid_at_its_ceiling_and_asked_again(shop: Shop) -> None:
    shop.model.failures = [NoAnswerError("lost")]
    shop.model.script = [says("again")]
    item = await shop.accept()
    await shop.run(item)
    assert (await shop.answer(item)).text == "again"
    assert shop.ledger.spent == 100 + 10
    assert shop.ledger.reserved == 0


async def test_attempts_without_an_answer_count_across_a_crash(shop: Shop) -> None:
    shop.model.failures = [NoAnswerError("lost")]
    item = await shop.accept()
    item = await shop.crash(item, CrashAt("after_model_started", times=2))
    shop.model.failures = [NoAnswerError("lost"), NoAnswerError("lost")]
    await shop.run(item)
    assert (await shop.failure(item))[0] == "MODEL_UNAVAILABLE"
    assert shop.ledger.spent == 4 * 100, "three without an answer, and the one that died with its worker"
    assert shop.ledger.reserved == 0


async def test_a_run_whose_time_is_up_in_mid_tool_call_ends_and_gives_back_what_only_read(shop: Shop) -> None:
    async def hang(_arguments: dict[str, object]) -> ToolResult:
        await asyncio.Event().wait()
        raise AssertionError

    shop.toolbox.add("hang", hang, price=5)
    shop.model.script = [asks(("hang", {}))]
    item = await shop.accept(wall_seconds=1)
    await shop.run(item)
    assert (await shop.failure(item))[0] == "DEADLINE_EXCEEDED"
    assert shop.ledger.spent == 10
    assert shop.ledger.reserved == 0


async def test_a_process_that_stands_still_between_two_attempts_is_not_too_late(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    time = loop.time

    class StandsStill(SystemClock):
        async def sleep(self, seconds: float) -> None:
            monkeypatch.setattr(loop, "time", lambda: time() + 10)  # as SIGSTOP and SIGCONT do
            await super().sleep(seconds)

    shop.ledger.away = 1
    shop.model.script = [says("still here")]
    item = await shop.accept()
    await replace(shop.worker(), clock=StandsStill()).handle(item)
    assert (await shop.answer(item)).text == "still here"


async def test_a_run_whose_call_heeds_no_end_is_left_to_others(shop: Shop) -> None:
    deaf = asyncio.Event()

    async def heeds_nothing(_arguments: dict[str, object]) -> ToolResult:
        while not deaf.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await deaf.wait()
        return found("at last")

    shop.toolbox.add("deaf", heeds_nothing)
    shop.model.script = [asks(("deaf", {})), says("done")]
    item = await shop.accept(wall_seconds=0.3)
    working = asyncio.create_task(shop.worker(ack_wait=0.03).handle(item))
    beats, since, turns = 0, time.monotonic(), 0

    async def quiet() -> bool:
        """No beat for half a second, which is fifty times as long as between two of them.

        The loop's turns are counted too: where the machine stands still for as long, nobody can beat.
        """
        nonlocal beats, since, turns
        turns += 1
        if item.beats != beats:
            beats, since, turns = item.beats, time.monotonic(), 0
        return beats > 0 and time.monotonic() - since > 0.5 and turns > 100

    try:
        await until(quiet)
    finally:
        deaf.set()
        await working
    assert item.beats > 10, "while the call had time it was kept"


class _Pauses(SystemClock):
    """A clock whose sleeps take no time, and are remembered."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_a_busy_model_is_asked_again_no_sooner_than_its_provider_says(shop: Shop) -> None:
    shop.model.failures = [busy(retry_after=20), busy(retry_after=None)]
    shop.model.script = [says("done")]
    clock = _Pauses()
    item = await shop.accept()
    await replace(shop.worker(), clock=clock).handle(item)
    assert (await shop.answer(item)).text == "done"
    first, second = clock.slept
    assert 20 <= first <= 25, "and not all at the same moment"
    assert second < 2


async def test_each_failure_of_a_provider_is_a_line_in_the_log(shop: Shop) -> None:
    shop.model.failures = [NoAnswerError("no answer came"), busy(retry_after=None)]
    shop.model.script = [says("done")]
    item = await shop.accept()
    with structlog.testing.capture_logs() as lines:
        await replace(shop.worker(), clock=_Pauses()).handle(item)
    told = [(line["model"], line["why"]) for line in lines if line["event"] == "model_failed"]
    assert told == [("scripted/m", "no answer came"), ("scripted/m", "HTTP 429")]


async def test_a_run_does_not_wait_for_a_model_that_comes_back_after_its_time(shop: Shop) -> None:
    shop.model.failures = [busy(retry_after=50)]
    clock = _Pauses()
    item = await shop.accept(wall_seconds=30)
    await replace(shop.worker(), clock=clock).handle(item)
    assert (await shop.failure(item))[0] == "MODEL_UNAVAILABLE"
    assert clock.slept == []
    assert (shop.ledger.spent, shop.ledger.reserved) == (0, 0)


def busy(*, retry_after: float | None) -> MalhaError:
    return MalhaError(ErrorReason.ERROR_REASON_MODEL_UNAVAILABLE, "HTTP 429", retry_after=retry_after)
