"""A tool that goes wrong is an answer, tells nothing internal, and cannot take others with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import structlog
from prometheus_client import REGISTRY

from malha import errors
from malha.api.common.v1.principal_pb2 import Principal
from malha.api.run.v1.record_pb2 import Effect, StepOutcome
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.errors import ErrorReason, MalhaError
from malha.limits.breaker import BreakerOpenError
from malha.testing.tools import ToldTool
from malha_tools.acting import act
from malha_tools.registry import Entry, Registry

PRINCIPAL = Principal(tenant="acme")


def entry(tool: ToldTool) -> Entry:
    return Registry([tool]).reach(tool.contract.name, PRINCIPAL.tier, [tool.contract.name])


def raising(error: Exception) -> Callable[[], Awaitable[str]]:
    async def raise_it() -> str:
        raise error

    return raise_it


async def hang() -> str:
    await asyncio.Event().wait()
    return ""


async def run(ready: Entry, seconds: float = 5.0) -> ToolResult:
    return await act(ready, {}, PRINCIPAL, "acme/run/1", seconds)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("no such file /srv/secrets/key.pem"),
        KeyError("SELECT * FROM tenants"),
        MalhaError(ErrorReason.ERROR_REASON_INTERNAL, "shard 10.0.0.7 of other-tenant"),
        errors.invalid("internal_field", "upstream detail"),
        errors.unavailable("shard-10.0.0.7"),
        BreakerOpenError("shard-10.0.0.7", 3.0),
    ],
)
async def test_what_was_not_meant_for_the_caller_does_not_reach_it(error: Exception) -> None:
    tool = ToldTool(Effect.EFFECT_READ)
    tool.act = raising(error)
    result = await run(entry(tool), seconds=0.05)
    assert result.outcome == StepOutcome.STEP_OUTCOME_FAILED
    assert result.error_reason in {"TOOL_FAILED", "TOOL_UNAVAILABLE"}
    for secret in ("srv", "SELECT", "10.0.0.7", "other-tenant", "upstream"):
        assert secret not in str(result)


@pytest.mark.parametrize("effect", [Effect.EFFECT_READ, Effect.EFFECT_IDEMPOTENT])
async def test_what_may_be_repeated_outlives_the_restart_of_what_it_needs(effect: Effect) -> None:
    tool = ToldTool(effect)

    async def away_at_first() -> str:
        if len(tool.ran) < 2:
            raise errors.unavailable("retrieval")
        return "found"

    tool.act = away_at_first
    assert (await run(entry(tool))).text == "found"


@pytest.mark.parametrize("reason", ["TOOL_FAILED", "TOOL_UNAVAILABLE"])
@pytest.mark.parametrize("effect", [Effect.EFFECT_READ, Effect.EFFECT_ONCE])
async def test_a_declared_failure_reaches_the_model_in_the_tools_own_words(
    effect: Effect, reason: str
) -> None:
    tool = ToldTool(effect)
    tool.act = raising(MalhaError(errors.reason_named(reason), "The shop is closed."))
    result = await run(entry(tool))
    assert (result.error_reason, result.error_text) == (reason, "The shop is closed.")


@pytest.mark.parametrize(
    "error",
    [RuntimeError("?"), errors.unavailable("mail"), BreakerOpenError("mail", 1.0), errors.invalid("a", "b")],
)
async def test_an_undeclared_failure_of_a_once_tool_is_no_answer(error: Exception) -> None:
    tool = ToldTool(Effect.EFFECT_ONCE)
    tool.act = raising(error)
    with pytest.raises(MalhaError) as raised:
        await run(entry(tool))
    assert raised.value.reason == ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN


async def test_a_result_that_breaks_its_schema_is_a_failure_and_its_words_reach_no_log() -> None:
    tool = ToldTool(Effect.EFFECT_READ)
    tool.result = ToolResult(result_json='{"owner": "Ana Souza"}', text="It belongs to Ana Souza.")
    with structlog.testing.capture_logs() as lines:
        result = await run(entry(tool))
    assert result.error_reason == "TOOL_FAILED"
    [line] = lines
    assert "the whole is against type" in str(line["exc_info"])
    assert "Ana" not in str(line) + str(result)


async def test_a_tool_that_hangs_is_stopped_at_its_timeout() -> None:
    tool = ToldTool(Effect.EFFECT_READ, timeout={"nanos": 10_000_000})
    tool.act = hang
    result = await run(entry(tool))
    assert result.error_reason == "DEADLINE_EXCEEDED"
    assert result.elapsed.ToMilliseconds() >= 9


async def test_a_once_tool_that_hangs_has_an_unknown_outcome() -> None:
    tool = ToldTool(Effect.EFFECT_ONCE, timeout={"nanos": 10_000_000})
    tool.act = hang
    with pytest.raises(MalhaError) as raised:
        await run(entry(tool))
    assert raised.value.reason == ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN


async def test_repeated_failures_open_the_tools_breaker_and_it_is_not_run_for_a_while() -> None:
    tool = ToldTool(Effect.EFFECT_READ)
    tool.act = raising(RuntimeError("down"))
    ready = entry(tool)
    for _ in range(5):
        await run(ready)
    tool.act = None
    result = await run(ready)
    assert result.error_reason == "TOOL_UNAVAILABLE"
    assert "left alone" in result.error_text
    assert len(tool.ran) == 5


async def test_an_open_breaker_is_a_known_outcome_even_for_a_once_tool() -> None:
    tool = ToldTool(Effect.EFFECT_ONCE)
    tool.act = raising(RuntimeError("down"))
    ready = entry(tool)
    for _ in range(5):
        with pytest.raises(MalhaError):
            await run(ready)
    assert (await run(ready)).error_reason == "TOOL_UNAVAILABLE"


async def test_neither_declared_failures_nor_callers_in_a_hurry_open_it() -> None:
    tool = ToldTool(Effect.EFFECT_READ)
    ready = entry(tool)
    tool.act = raising(MalhaError(ErrorReason.ERROR_REASON_TOOL_FAILED, "No such order."))
    for _ in range(10):
        await run(ready)
    tool.act = hang
    for _ in range(10):
        assert (await run(ready, seconds=0.001)).error_reason == "DEADLINE_EXCEEDED"
    tool.act = None
    assert (await run(ready)).outcome == StepOutcome.STEP_OUTCOME_OK


@pytest.mark.parametrize("returned", ["7", "", "no json"])
async def test_a_result_against_the_output_schema_is_a_failure(returned: str) -> None:
    tool = ToldTool(Effect.EFFECT_READ)
    tool.result.result_json = returned
    assert (await run(entry(tool))).error_reason == "TOOL_FAILED"


async def test_success_and_failure_are_counted_by_tool() -> None:
    def counted(outcome: str) -> float:
        labels = {"tool": "counted", "outcome": outcome}
        return REGISTRY.get_sample_value("malha_tool_seconds_count", labels) or 0.0

    tool = ToldTool(Effect.EFFECT_READ, name="counted")
    ready = entry(tool)
    await run(ready)
    tool.act = raising(RuntimeError())
    await run(ready)
    assert (counted("OK"), counted("TOOL_FAILED")) == (1, 1)


@pytest.mark.parametrize("effect", [Effect.EFFECT_READ, Effect.EFFECT_IDEMPOTENT, Effect.EFFECT_ONCE])
async def test_a_tool_that_gets_no_time_is_not_begun_and_says_so(effect: Effect) -> None:
    tool = ToldTool(effect)
    tool.act = hang
    result = await run(entry(tool), seconds=0.0)
    assert result.error_reason == "DEADLINE_EXCEEDED"
    assert tool.ran == []


async def cancel_itself() -> str:
    part = asyncio.create_task(hang())
    part.cancel()
    return await part


async def test_a_cancellation_inside_a_tool_is_its_failure_and_not_its_callers_wish() -> None:
    tool = ToldTool(Effect.EFFECT_READ)
    tool.act = cancel_itself
    assert (await run(entry(tool))).error_reason == "TOOL_FAILED"


async def test_a_cancellation_inside_a_once_tool_leaves_its_outcome_unknown() -> None:
    tool = ToldTool(Effect.EFFECT_ONCE)
    tool.act = cancel_itself
    with pytest.raises(MalhaError) as error:
        await run(entry(tool))
    assert error.value.reason == ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN
