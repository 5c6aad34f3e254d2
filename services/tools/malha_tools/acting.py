"""Running a tool: in time, behind its breaker, and with an answer whatever happens.

A failure is an answer, so that the model can do something else. Only an ``EFFECT_ONCE`` tool that went
wrong in a way it did not declare has no answer to give: it may have acted, and saying "failed" would
invite the model to act again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import orjson

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.run.v1.record_pb2 import StepOutcome
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.errors import ErrorReason, MalhaError, Reason
from malha.limits.breaker import BreakerOpenError
from malha.telemetry import log, metrics, names, span
from malha_tools.ports import Tool
from malha_tools.refusals import unknown
from malha_tools.registry import Entry
from malha_tools.results import cut, failed

_PASSING = frozenset(
    {ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE, ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED}
)
"""What a service says that is being restarted, or does not say: asking again may help."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0
_DECLARED = frozenset({ErrorReason.ERROR_REASON_TOOL_FAILED, ErrorReason.ERROR_REASON_TOOL_UNAVAILABLE})


async def act(
    entry: Entry,
    arguments: Mapping[str, Any],
    principal: Principal,
    idempotency_key: str,
    seconds: float,
) -> ToolResult:
    """Run the tool once and tell how it went.

    Args:
        seconds: what the caller's deadline leaves; the tool's own timeout may be shorter. Zero or less: it
            is not begun.

    Raises:
        MalhaError: OUTCOME_UNKNOWN, from an EFFECT_ONCE tool alone.
    """
    if seconds <= 0:
        text = f"{entry.name} was not begun: no time was left for it."
        return failed(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, text)
    began = time.perf_counter()
    with span(f"tool {entry.name}", attributes={names.GEN_AI_TOOL_NAME: entry.name}) as current:
        try:
            result = await _run(entry, arguments, principal, idempotency_key, seconds)
        except Exception as error:
            result = failed(*_told(entry, error))
            current.fail(result.error_reason)
    elapsed = time.perf_counter() - began
    metrics.TOOL_SECONDS.labels(entry.name, result.error_reason or "OK").observe(elapsed)
    if result.error_reason == "OUTCOME_UNKNOWN":
        raise unknown(entry.name)
    result.elapsed.FromMicroseconds(round(elapsed * 1e6))
    return result


async def _run(
    entry: Entry, arguments: Mapping[str, Any], principal: Principal, idempotency_key: str, seconds: float
) -> ToolResult:
    async with entry.breaker:
        try:
            async with asyncio.timeout(min(seconds, entry.timeout)) as scope:
                call = partial(_called, entry.tool, arguments, principal, idempotency_key)
                result = await (call() if entry.once else _patiently(call, scope.when() or 0.0))
        except TimeoutError:
            if seconds < entry.timeout:
                raise _CallerOutOfTimeError from None
            raise
        if breaches := entry.result.breaches(orjson.loads(result.result_json)):
            raise _BrokenPromiseError("; ".join(breaches))
    result.outcome = StepOutcome.STEP_OUTCOME_OK
    result.price_microusd = entry.contract.price_microusd
    cut(result)
    return result


async def _called(
    tool: Tool, arguments: Mapping[str, Any], principal: Principal, idempotency_key: str
) -> ToolResult:
    try:
        return await tool.run(arguments, principal, idempotency_key)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            raise _GaveUpError from error  # nobody cancelled the call; something inside the tool was
        raise


async def _patiently(call: Callable[[], Awaitable[ToolResult]], until: float) -> ToolResult:
    """What may be repeated outlives the restart of a service it needs, for as long as it has time."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await call()
        except MalhaError as error:
            if error.reason not in _PASSING or asyncio.get_running_loop().time() + pause >= until:
                raise
        await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - jitter, no secret
        pause = min(2 * pause, _LONGEST_PAUSE)


def _told(entry: Entry, error: Exception) -> tuple[Reason, str]:
    """What the caller may know of a failure; what was not meant for it goes to the log."""
    if isinstance(error, BreakerOpenError) and error.breaker == entry.breaker.name:
        text = f"{entry.name} has failed repeatedly and is left alone for now."
        return ErrorReason.ERROR_REASON_TOOL_UNAVAILABLE, text
    if isinstance(error, MalhaError) and error.reason in _DECLARED:
        return error.reason, error.message
    log.error("tool_failed", tool=entry.name, exc_info=error)
    if entry.once:
        return ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN, ""
    if isinstance(error, TimeoutError | _CallerOutOfTimeError):
        text = f"{entry.name} did not answer in the time it had."
        return ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, text
    if isinstance(error, MalhaError) and error.retry_after is not None:
        text = f"{entry.name} is not available for now: something it needs is away."
        return ErrorReason.ERROR_REASON_TOOL_UNAVAILABLE, text
    return ErrorReason.ERROR_REASON_TOOL_FAILED, f"{entry.name} failed; nothing more is known."


class _CallerOutOfTimeError(MalhaError):
    """The caller's deadline came before the tool's own timeout. The reason is one that no breaker counts:
    else callers in a hurry could close a tool to everyone."""

    def __init__(self) -> None:
        super().__init__(ErrorReason.ERROR_REASON_CANCELLED, "the caller's deadline came first")


class _GaveUpError(Exception):
    """The tool let a cancellation of its own leave it, which would pass for its caller's."""


class _BrokenPromiseError(Exception):
    """The tool returned what its output schema forbids. Says where; what it was belongs in no log."""
