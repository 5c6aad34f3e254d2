"""A call made once and refused since, by what came over the service: it is not told that it did not run."""

from __future__ import annotations

import asyncio

import pytest

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.run.v1.record_pb2 import Risk
from malha.api.tools.v1.tools_service_pb2 import Resolution
from malha.errors import ErrorReason, MalhaError
from malha.testing.raised import refusal
from malha.testing.tool_bench import Bench, key
from malha.testing.tools import Gate
from malha_tools.registry import Registry

pytestmark = pytest.mark.parametrize("since", ["rate", "leave", "schema"])


class Spent:
    """A quota with nothing left."""

    async def take(self, _principal: Principal, _tool: str) -> None:
        raise MalhaError(ErrorReason.ERROR_REASON_RATE_LIMITED, "too many calls")


async def in_a_new_process(bench: Bench, since: str) -> None:
    """What may have come over the service since a call was made: it refuses that call now."""
    await bench.crash()
    if since == "rate":
        bench.execution._quota = Spent()
    elif since == "leave":
        bench.registry._entries["once"].contract.risk = Risk.RISK_HIGH
    else:
        bench.once.contract.input_schema_json = '{"type": "object", "required": ["line"]}'
        bench.execution._registry = Registry([bench.once])


async def test_a_call_asked_again_is_answered_as_at_first(bench: Bench, since: str) -> None:
    first = await bench.execute("once", key())
    await in_a_new_process(bench, since)
    assert await bench.execute("once", key()) == first


async def test_a_call_lost_in_the_act_is_still_of_unknown_outcome(bench: Bench, since: str) -> None:
    gate = bench.once.act = Gate()
    call = asyncio.create_task(bench.execute("once", key()))
    await gate.inside.wait()
    await in_a_new_process(bench, since)
    await asyncio.gather(call, return_exceptions=True)
    assert (await refusal(bench.execute("once", key()))).reason_name == "OUTCOME_UNKNOWN"
    assert await bench.resolve(key()) == Resolution.RESOLUTION_UNKNOWN
