"""Access before anything: what is not the agent's, the tenant's or the schema's runs nothing."""

from __future__ import annotations

import pytest

from malha.api.common.v1.principal_pb2 import Tier
from malha.api.run.v1.record_pb2 import StepOutcome
from malha.errors import ErrorReason, MalhaError
from malha.testing.raised import refusal
from malha.testing.tool_bench import Bench, key


async def test_a_tool_the_agent_does_not_list_is_refused_before_anything_runs(bench: Bench) -> None:
    assert (await refusal(bench.execute("once", key(), allowed=["read"]))).reason_name == "TOOL_NOT_FOUND"
    assert (await refusal(bench.execute("once", key(), allowed=[]))).reason_name == "TOOL_NOT_FOUND"
    assert bench.once.ran == []
    assert await bench.rows() == []


async def test_a_tool_above_the_tier_is_refused_in_the_words_of_one_that_does_not_exist(bench: Bench) -> None:
    messages = set()
    for tool, tier in (("paid", Tier.TIER_FREE), ("paid", Tier.TIER_UNSPECIFIED), ("nothing", Tier.TIER_PRO)):
        with pytest.raises(MalhaError) as error:
            await bench.execute(tool, key(), tier=tier)
        assert error.value.reason == ErrorReason.ERROR_REASON_TOOL_NOT_FOUND
        messages.add(error.value.message)
    assert len(messages) == 1
    assert bench.paid.ran == []
    result = await bench.execute("paid", key(), tier=Tier.TIER_ENTERPRISE)
    assert (result.outcome, result.price_microusd) == (StepOutcome.STEP_OUTCOME_OK, 70)


async def test_only_tools_within_the_tier_are_listed(bench: Bench) -> None:
    free = [tool.name for tool in bench.registry.within(Tier.TIER_UNSPECIFIED)]
    assert free == ["idempotent", "once", "plain", "read"]
    assert "paid" in [tool.name for tool in bench.registry.within(Tier.TIER_PRO)]


@pytest.mark.parametrize("bad", ["", "acme", key(tenant="other"), key() + "/1", "acme/x/1/1/1"])
async def test_a_key_that_is_not_the_tenants_own_is_refused(bench: Bench, bad: str) -> None:
    assert (await refusal(bench.execute("once", bad))).reason_name == "FIELD_INVALID"
    assert bench.once.ran == []
    with pytest.raises(MalhaError):
        await bench.resolve(bad)


async def test_arguments_against_the_schema_are_a_failure_that_names_them(bench: Bench) -> None:
    result = await bench.execute("once", key(), {"n": "seven"})
    assert (result.outcome, result.error_reason) == (StepOutcome.STEP_OUTCOME_FAILED, "FIELD_INVALID")
    assert "n: 'seven' is not of type 'integer'" in result.error_text
    assert "Its arguments are: n." in result.error_text
    assert bench.once.ran == []


async def test_arguments_that_are_no_json_object_are_a_failure_too(bench: Bench) -> None:
    for step, arguments in enumerate(('{"n":', "[1]", "7", "x" * 5000), 1):
        result = await bench.execute("once", key(step), arguments)
        assert result.error_reason == "FIELD_INVALID"
        assert "is not of type 'object'" in result.error_text or "(against type)" in result.error_text
        assert len(result.error_text) < 1000
    assert bench.once.ran == []
