"""A result that is kept answers its own tenant, tier and version of the tool, and costs nothing."""

from __future__ import annotations

from malha.api.common.v1.principal_pb2 import Tier
from malha.api.run.v1.record_pb2 import StepOutcome
from malha.api.tools.v1.tools_service_pb2 import Resolution
from malha.errors import ErrorReason, MalhaError
from malha.testing.tool_bench import Bench, key

RESULT = Resolution.RESOLUTION_RESULT


async def test_a_cached_result_has_no_second_effect_and_costs_nothing(bench: Bench) -> None:
    first = await bench.execute("read", key(1), {"n": 1})
    again = await bench.execute("read", key(2), '{"n":1}')
    assert len(bench.read.ran) == 1
    assert not first.from_cache
    assert (again.from_cache, again.text, again.price_microusd) == (True, first.text, 0)
    assert await bench.resolve(key(2)) == RESULT
    await bench.execute("read", key(3), {"n": 2})
    assert len(bench.read.ran) == 2


async def test_another_tenant_never_sees_a_cached_result(bench: Bench) -> None:
    await bench.execute("read", key(1))
    other = await bench.execute("read", key(1, tenant="other"), tenant="other")
    assert not other.from_cache
    assert [tenant for tenant, _, _ in bench.read.ran] == ["acme", "other"]


async def test_a_cached_result_is_its_tier_s_alone(bench: Bench) -> None:
    await bench.execute("read", key(1))
    paid = await bench.execute("read", key(2), tier=Tier.TIER_PRO)
    assert not paid.from_cache


async def test_another_version_of_a_tool_does_not_answer_with_what_the_last_one_said(bench: Bench) -> None:
    await bench.execute("read", key(1))
    bench.registry._entries["read"].contract.version = "next"
    assert not (await bench.execute("read", key(2))).from_cache


async def test_failures_and_partial_results_are_not_cached(bench: Bench) -> None:
    async def fail() -> str:
        raise MalhaError(ErrorReason.ERROR_REASON_TOOL_FAILED, "No.")

    bench.read.act = fail
    await bench.execute("read", key(1))
    bench.read.act = None
    bench.read.result.partial = True
    await bench.execute("read", key(2))
    bench.read.result.partial = False
    assert not (await bench.execute("read", key(3))).from_cache
    assert (await bench.execute("read", key(4))).from_cache


async def test_without_its_cache_it_works_on(bench: Bench) -> None:
    bench.cache.away = True
    await bench.execute("read", key(1))
    assert (await bench.execute("read", key(2))).outcome == StepOutcome.STEP_OUTCOME_OK
    assert len(bench.read.ran) == 2
