"""An act that was lost, or whose caller is: Resolve says what became of it, and nothing happens late."""

from __future__ import annotations

import asyncio

import pytest

from malha.api.tools.v1.tools_service_pb2 import Resolution
from malha.errors import ErrorReason, MalhaError
from malha.testing.raised import refusal
from malha.testing.tool_bench import Bench, key
from malha.testing.tools import Gate, ToldTool

RESULT = Resolution.RESOLUTION_RESULT
TOMBSTONED = Resolution.RESOLUTION_TOMBSTONED
UNKNOWN = Resolution.RESOLUTION_UNKNOWN


async def test_a_key_that_never_ran_is_closed_and_a_late_call_is_refused(bench: Bench) -> None:
    for step, tool in enumerate(("once", "idempotent", "read", "plain"), 1):
        assert await bench.resolve(key(step)) == TOMBSTONED
        assert await bench.resolve(key(step)) == TOMBSTONED
        await bench.crash()
        assert (await refusal(bench.execute(tool, key(step)))).reason_name == "EFFECT_TOMBSTONED"
        assert (await refusal(bench.execute(tool, key(step), {"n": "x"}))).reason_name == "EFFECT_TOMBSTONED"
    assert bench.once.ran == bench.idempotent.ran == bench.read.ran == bench.plain.ran == []


async def test_a_closed_key_refuses_a_cached_result_too(bench: Bench) -> None:
    await bench.execute("read", key(1))
    assert await bench.resolve(key(2)) == TOMBSTONED
    assert (await refusal(bench.execute("read", key(2)))).reason_name == "EFFECT_TOMBSTONED"


async def test_a_once_effect_lost_in_the_act_is_unknown_and_never_runs_again(bench: Bench) -> None:
    gate = bench.once.act = Gate()
    call = asyncio.create_task(bench.execute("once", key()))
    await gate.inside.wait()
    await bench.crash()
    await asyncio.gather(call, return_exceptions=True)
    assert await bench.resolve(key()) == UNKNOWN
    assert (await refusal(bench.execute("once", key()))).reason_name == "OUTCOME_UNKNOWN"
    assert len(bench.once.ran) == 1


@pytest.mark.parametrize("name", ["idempotent", "plain"])
async def test_a_repeatable_effect_lost_in_the_act_is_closed_and_runs_under_a_new_key(
    bench: Bench, name: str
) -> None:
    tool: ToldTool = getattr(bench, name)
    gate = tool.act = Gate()
    call = asyncio.create_task(bench.execute(name, key(epoch=7)))
    await gate.inside.wait()
    await bench.crash()
    await asyncio.gather(call, return_exceptions=True)
    assert await bench.resolve(key(epoch=7)) == TOMBSTONED
    assert (await refusal(bench.execute(name, key(epoch=7)))).reason_name == "EFFECT_TOMBSTONED"
    gate.open.set()
    assert (await bench.execute(name, key(epoch=9))).text == "went through"
    # both attempts gave the tool the same key to hand on
    assert len({idempotency_key for _, _, idempotency_key in tool.ran}) == 1


async def test_a_repeatable_effect_lost_in_the_act_may_run_again_under_its_own_key(bench: Bench) -> None:
    gate = bench.idempotent.act = Gate()
    call = asyncio.create_task(bench.execute("idempotent", key()))
    await gate.inside.wait()
    await bench.crash()
    await asyncio.gather(call, return_exceptions=True)
    gate.open.set()
    assert (await bench.execute("idempotent", key())).text == "went through"


async def test_an_undeclared_error_of_a_once_tool_leaves_its_outcome_unknown(bench: Bench) -> None:
    async def explode() -> str:
        raise RuntimeError("connection reset by 10.0.0.7")

    bench.once.act = explode
    with pytest.raises(MalhaError) as error:
        await bench.execute("once", key())
    assert error.value.reason == ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN
    assert "10.0.0.7" not in error.value.message
    assert await bench.resolve(key()) == UNKNOWN


async def test_a_once_effect_goes_on_without_its_caller_and_its_result_is_known(bench: Bench) -> None:
    gate = bench.once.act = Gate()
    call = asyncio.create_task(bench.execute("once", key()))
    await gate.inside.wait()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    resolution = asyncio.create_task(bench.resolve(key()))
    await asyncio.sleep(0)
    assert not resolution.done()
    gate.open.set()
    assert await resolution == RESULT


async def test_reading_stops_when_the_last_caller_is_gone(bench: Bench) -> None:
    stopped = asyncio.Event()
    gate = Gate()

    async def read() -> str:
        try:
            return await gate()
        except asyncio.CancelledError:
            stopped.set()
            raise

    bench.plain.act = read
    calls = [asyncio.create_task(bench.execute("plain", key())) for _ in range(2)]
    await gate.inside.wait()
    calls[0].cancel()
    await asyncio.gather(calls[0], return_exceptions=True)
    assert not stopped.is_set()
    calls[1].cancel()
    await stopped.wait()
    assert await bench.resolve(key()) == TOMBSTONED


async def test_no_effect_begins_without_time_to_tell_of_it(bench: Bench) -> None:
    assert (await refusal(bench.execute("once", key(), seconds=0.05))).reason_name == "DEADLINE_EXCEEDED"
    assert bench.once.ran == []
    assert await bench.resolve(key()) == TOMBSTONED
