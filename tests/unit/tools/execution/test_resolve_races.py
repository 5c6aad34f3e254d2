"""A call and the question what became of it, at the same moment."""

from __future__ import annotations

import asyncio

import pytest

from malha.api.tools.v1.tools_service_pb2 import Resolution, ToolResult
from malha.errors import ErrorReason, MalhaError
from malha.testing.tool_bench import Bench, key
from malha.testing.tools import Gate

RESULT = Resolution.RESOLUTION_RESULT
TOMBSTONED = Resolution.RESOLUTION_TOMBSTONED


async def test_of_a_resolve_and_an_execute_that_race_exactly_one_wins(bench: Bench) -> None:
    won: dict[str, int] = {"ran": 0, "closed": 0}
    for step in range(1, 101):
        before = len(bench.once.ran)
        call, resolution = bench.execute("once", key(step)), bench.resolve(key(step))
        order = (resolution, call) if step % 2 else (call, resolution)
        outcomes = await asyncio.gather(*order, return_exceptions=True)
        result, resolved = reversed(outcomes) if step % 2 else outcomes
        ran = len(bench.once.ran) - before
        if resolved == TOMBSTONED:
            assert isinstance(result, MalhaError)
            assert result.reason == ErrorReason.ERROR_REASON_EFFECT_TOMBSTONED
            assert ran == 0
            won["closed"] += 1
        else:
            assert resolved == RESULT
            assert isinstance(result, ToolResult)
            assert ran == 1
            won["ran"] += 1
    assert won["ran"]
    assert won["closed"]


async def test_a_resolve_that_meets_a_call_just_begun_waits_for_its_result(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window between Resolve's first look and its write: what began inside is under way, not unknown."""
    gate = bench.once.act = Gate()
    landed = bench.execution._flights.landed
    call: asyncio.Task[ToolResult] | None = None

    async def begin_in_between(tenant: str, at: str) -> None:
        nonlocal call
        await landed(tenant, at)
        if call is None:
            call = asyncio.create_task(bench.execute("once", key()))
            await gate.inside.wait()
            asyncio.get_running_loop().call_later(0.01, gate.open.set)

    monkeypatch.setattr(bench.execution._flights, "landed", begin_in_between)
    assert await bench.resolve(key()) == RESULT
    assert call is not None
    assert (await call).text == "went through"
