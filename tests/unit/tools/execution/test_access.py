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


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ('{"n":', "no JSON object"),
        ("x" * 5000, "no JSON object"),
        ('"n"', "no JSON object"),
        ("[1]", "is not of type 'object'"),
        ("7", "is not of type 'object'"),
        ('{"n": NaN}', "no JSON object"),
        ('{"n": 18446744073709551616}', "more than 64 bits"),
        ('{"n": -9223372036854775809}', "more than 64 bits"),
        ('{"n": ' + "9" * 5000 + "}", "more than 64 bits"),
        ('{"n": ' + "[" * 300 + "]" * 300 + "}", "nested too deeply"),
        ('{"n": ' + "[" * 5000 + "]" * 5000 + "}", "nested too deeply"),
        ('{"n": ' + "[" * 990 + "9" * 20 + "]" * 990 + "}", "nested too deeply"),
    ],
)
async def test_arguments_that_no_tool_can_be_given_are_a_failure_too(
    bench: Bench, arguments: str, why: str
) -> None:
    result = await bench.execute("once", key(), arguments)
    assert result.error_reason == "FIELD_INVALID"
    assert why in result.error_text
    assert len(result.error_text) < 1000
    assert bench.once.ran == []


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 10**18])
async def test_an_integer_reaches_the_tool_as_it_was_written(bench: Bench, number: int) -> None:
    await bench.execute("once", key(), f'{{"n": {number}}}')
    [(_, arguments, _)] = bench.once.ran
    assert repr(arguments["n"]) == str(number)


async def test_long_digits_in_a_text_are_no_number(bench: Bench) -> None:
    result = await bench.execute("once", key(), '{"n": "' + "9" * 40 + '"}')
    assert "is not of type 'integer'" in result.error_text
