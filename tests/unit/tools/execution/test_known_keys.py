"""A key acts once, however often and from however many sides it is asked."""

from __future__ import annotations

import asyncio

from malha.api.tools.v1.tools_service_pb2 import Resolution
from malha.errors import ErrorReason, MalhaError
from malha.testing.raised import refusal
from malha.testing.tool_bench import Bench, key
from malha.testing.tools import Gate

RESULT = Resolution.RESOLUTION_RESULT


async def test_a_known_key_answers_its_result_and_runs_nothing(bench: Bench) -> None:
    first = await bench.execute("once", key(), {"n": 1})
    await bench.crash()
    assert await bench.execute("once", key(), '{ "n" : 1 }') == first
    assert len(bench.once.ran) == 1
    assert await bench.resolve(key()) == RESULT


async def test_a_failure_is_recorded_like_any_result(bench: Bench) -> None:
    async def fail() -> str:
        raise MalhaError(ErrorReason.ERROR_REASON_TOOL_FAILED, "The line is busy.")

    bench.once.act = fail
    first = await bench.execute("once", key())
    assert (first.error_reason, first.error_text) == ("TOOL_FAILED", "The line is busy.")
    assert await bench.execute("once", key()) == first
    assert len(bench.once.ran) == 1


async def test_a_known_key_with_other_arguments_or_another_tool_is_a_conflict(bench: Bench) -> None:
    await bench.execute("once", key(), {"n": 1})
    assert (await refusal(bench.execute("once", key(), {"n": 2}))).reason_name == "IDEMPOTENCY_CONFLICT"
    assert (await refusal(bench.execute("plain", key(), {"n": 1}))).reason_name == "IDEMPOTENCY_CONFLICT"
    assert (await refusal(bench.execute("once", key(), {"n": "x"}))).reason_name == "IDEMPOTENCY_CONFLICT"
    assert len(bench.once.ran) == 1


async def test_concurrent_calls_with_one_key_run_it_once(bench: Bench) -> None:
    gate = bench.once.act = Gate()
    calls = [asyncio.create_task(bench.execute("once", key(), {"n": 1})) for _ in range(10)]
    await gate.inside.wait()
    assert (await refusal(bench.execute("once", key(), {"n": 2}))).reason_name == "IDEMPOTENCY_CONFLICT"
    gate.open.set()
    results = await asyncio.gather(*calls)
    assert len(bench.once.ran) == 1
    assert all(result == results[0] for result in results)


async def test_calls_with_different_keys_run_at_the_same_time(bench: Bench) -> None:
    barrier = asyncio.Barrier(8)

    async def meet() -> str:
        await barrier.wait()  # nobody passes unless all eight are inside
        return "met"

    bench.plain.act = meet
    results = await asyncio.gather(*(bench.execute("plain", key(step)) for step in range(1, 9)))
    assert {result.text for result in results} == {"met"}
