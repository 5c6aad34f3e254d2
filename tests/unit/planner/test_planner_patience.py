"""A run that is to end waits for no service that hangs, and forgets nothing of what it owes for that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from malha.api.cost.v1.cost_service_pb2 import SettleRequest, SettleResponse
from malha.api.guard.v1.guard_service_pb2 import FilterStreamRequest, FilterStreamResponse
from malha.api.run.v1.record_pb2 import Abandonment, Effect
from malha.api.tools.v1.tools_service_pb2 import (
    ExecuteRequest,
    ExecuteResponse,
    Resolution,
    ResolveRequest,
    ResolveResponse,
)
from malha.errors import ErrorReason, MalhaError
from malha.testing.clock import FakeClock
from malha.testing.planner import MODEL_MICROUSD, CrashAt, MemoryLedger, MemoryToolbox, asks, says
from malha.testing.shop import Shop
from malha_planner.ports import ModelReply

SOON = 1.0
"""Seconds; a call of a service that hangs is given up after five."""


class Hang:
    """A call that is never answered."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()

    async def __call__(self, *_: object) -> None:
        self.entered.set()
        await asyncio.Event().wait()

    async def filter(
        self, _requests: AsyncIterator[FilterStreamRequest]
    ) -> AsyncGenerator[FilterStreamResponse, None]:
        await self()
        yield FilterStreamResponse()


async def lost(_request: ExecuteRequest, *, timeout: float) -> ExecuteResponse:
    del timeout
    raise MalhaError(ErrorReason.ERROR_REASON_INTERNAL, "nobody knows whether it ran")


async def unknown(_request: ResolveRequest) -> ResolveResponse:
    return ResolveResponse(resolution=Resolution.RESOLUTION_UNKNOWN)


TOOL = [asks(("count", {})), says("done")]
HANGS: dict[str, tuple[str, str, list[ModelReply]]] = {
    "the tools there are": ("toolbox", "list", TOOL),
    "a reservation": ("ledger", "authorize", TOOL),
    "the guard of an answer": ("guard", "check", [says("done")]),
    "the guard of a streamed answer": ("guard", "filter", [says("done")]),
    "the guard of a result": ("guard", "check", TOOL),
    "what became of a call": ("toolbox", "resolve", TOOL),
}


def hangs(shop: Shop, monkeypatch: pytest.MonkeyPatch, what: str) -> Hang:
    service, method, shop.model.script = HANGS[what]
    hang = Hang()
    monkeypatch.setattr(getattr(shop, service), method, hang.filter if method == "filter" else hang)
    if method == "resolve":
        monkeypatch.setattr(shop.toolbox, "execute", lost)
    return hang


@pytest.mark.parametrize("what", HANGS)
async def test_a_cancellation_waits_for_no_call_that_hangs(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    hang = hangs(shop, monkeypatch, what)
    item = await shop.accept(stream=what == "the guard of a streamed answer")
    async with asyncio.timeout(10):
        working = asyncio.create_task(shop.worker().handle(item))
        await hang.entered.wait()
        asked = time.monotonic()
        await shop.cancel(item)
        await working
    assert time.monotonic() - asked < SOON
    assert (await shop.failure(item))[0] == "CANCELLED"
    assert shop.ledger.reserved == 0
    assert shop.ledger.spent == (await shop.state(item)).cost.amount_microusd


@pytest.mark.parametrize("what", HANGS)
async def test_a_deadline_waits_for_no_call_that_hangs(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    hang = hangs(shop, monkeypatch, what)
    item = await shop.accept(wall_seconds=0.2, stream=what == "the guard of a streamed answer")
    begun = time.monotonic()
    async with asyncio.timeout(10):
        await shop.worker().handle(item)
    assert hang.entered.is_set()
    assert time.monotonic() - begun < 0.2 + SOON
    assert (await shop.failure(item))[0] == "DEADLINE_EXCEEDED"
    assert shop.ledger.reserved == 0
    assert shop.ledger.spent == (await shop.state(item)).cost.amount_microusd


async def test_a_cancelled_run_whose_worker_died_waits_for_no_call_that_hangs(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cancellation stands in the journal already when the next worker takes the run."""
    shop.model.script = TOOL
    item = await shop.crash(await shop.accept(), CrashAt("tool_returned"))
    await shop.cancel(item)
    monkeypatch.setattr(shop.toolbox, "resolve", Hang())
    async with asyncio.timeout(10):
        begun = time.monotonic()
        await shop.worker().handle(item)
    assert time.monotonic() - begun < SOON
    assert (await shop.failure(item))[0] == "CANCELLED"
    call = (await shop.state(item)).steps[1]
    assert call.abandoned is not None
    assert call.abandoned.how == Abandonment.ABANDONMENT_UNKNOWN, "it may have acted"
    assert shop.ledger.reserved == 0
    assert shop.ledger.spent == MODEL_MICROUSD + 5


class Asleep(MemoryToolbox):
    """A service that must be waited for, if only for a moment."""

    async def resolve(self, request: ResolveRequest) -> ResolveResponse:
        for _ in range(5):
            await asyncio.sleep(0)
        return await super().resolve(request)


@pytest.mark.parametrize(("cancelled", "reason"), [(True, "CANCELLED"), (False, "DEADLINE_EXCEEDED")])
async def test_what_a_dead_worker_left_is_cleared_up_even_where_the_runs_time_is_over(
    cancelled: bool, reason: str
) -> None:
    clock = FakeClock()
    shop = Shop(clock)
    shop.toolbox = Asleep()
    shop.toolbox.add("count", shop._count, effect=Effect.EFFECT_ONCE, price=5)
    shop.model.script = TOOL
    item = await shop.crash(await shop.accept(wall_seconds=60), CrashAt("tool_returned"))
    clock.advance(61)
    if cancelled:
        await shop.cancel(item)
    await shop.run(item)
    assert (await shop.failure(item))[0] == reason
    call = (await shop.state(item)).steps[1]
    assert call.finished is not None
    assert shop.ledger.spent == MODEL_MICROUSD + 5
    assert shop.ledger.reserved == 0


@pytest.mark.parametrize("wall_seconds", [0.2, 60.0])
async def test_an_answer_that_the_guard_never_judged_is_paid_by_what_the_model_used(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, wall_seconds: float
) -> None:
    hang = hangs(shop, monkeypatch, "the guard of an answer")
    item = await shop.accept(wall_seconds=wall_seconds)
    async with asyncio.timeout(10):
        working = asyncio.create_task(shop.worker().handle(item))
        await hang.entered.wait()
        if wall_seconds > 1:
            await shop.cancel(item)
        await working
    state = await shop.state(item)
    assert state.steps[0].abandoned is not None
    assert state.usage.output_tokens == 3
    assert shop.ledger.spent == MODEL_MICROUSD == state.cost.amount_microusd


class SettlesSecondTime:
    """A ledger whose first settlement is never answered, though it is entered."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._settle = ledger.settle
        self.entered = asyncio.Event()

    async def __call__(self, request: SettleRequest) -> SettleResponse:
        answer = await self._settle(request)
        if not self.entered.is_set():
            self.entered.set()
            await asyncio.Event().wait()
        return answer


@pytest.mark.parametrize("then", ["settlement beside the guard", "settlement before people are asked"])
async def test_a_cancellation_while_a_settlement_hangs_pays_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    asks_people = "people" in then
    shop.model.script = TOOL if asks_people else [says("done")]
    settle = SettlesSecondTime(shop.ledger)
    monkeypatch.setattr(shop.ledger, "settle", settle)
    if asks_people:
        monkeypatch.setattr(shop.toolbox, "execute", lost)
        monkeypatch.setattr(shop.toolbox, "resolve", unknown)
    item = await shop.accept()
    async with asyncio.timeout(10):
        working = asyncio.create_task(shop.worker().handle(item))
        await settle.entered.wait()
        asked = time.monotonic()
        await shop.cancel(item)
        await working
    assert time.monotonic() - asked < SOON
    assert (await shop.failure(item))[0] == "CANCELLED"
    assert shop.ledger.spent == MODEL_MICROUSD + (5 if asks_people else 0)
    assert shop.ledger.reserved == 0
    assert shop.ledger.spent == (await shop.state(item)).cost.amount_microusd
