"""The tool calls of one message, at the same time, each under its own step number and effect key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from malha.api.cost.v1.cost_service_pb2 import Settlement, ToolUse
from malha.api.run.v1.chat_pb2 import ToolCall
from malha.api.run.v1.record_pb2 import (
    Abandonment,
    Content,
    Effect,
    JournalEvent,
    Parked,
    ParkReason,
    StepFinished,
    StepKind,
    StepOutcome,
    StepStarted,
)
from malha.api.tools.v1.tool_pb2 import Tool
from malha.api.tools.v1.tools_service_pb2 import ExecuteRequest, Resolution, ResolveRequest, ToolResult
from malha.errors import ErrorReason, MalhaError
from malha.telemetry import names
from malha.telemetry.traces import span
from malha_planner.citations import renumber
from malha_planner.claimed import ClaimedRun
from malha_planner.patience import patiently
from malha_planner.tasks import end

_MARGIN = 2.0
"""Seconds beyond a tool's own timeout in which the tools service says that it timed out."""

_NO_WORD = {
    ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED,
    ErrorReason.ERROR_REASON_CANCELLED,
    ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE,
    ErrorReason.ERROR_REASON_INTERNAL,
}
"""Errors of a call that do not say whether the tool ran."""

Outcome: TypeAlias = "ToolResult | Abandonment"
"""What came of a call: a result, or how its attempt is given up."""


class ParkedRun(Exception):  # noqa: N818 - a turn of events, not an error
    """The run waits for a person; the record that says so was stored."""


async def call_tools(run: ClaimedRun, calls: Sequence[tuple[int, ToolCall]]) -> None:
    """Carry the calls out; their results are noted and in the transcript.

    A tool that fails, refuses its arguments or does not exist is a result that the model is shown.
    """
    offered = {tool.name: tool for tool in await run.tools()}
    started = [_intention(run, step, call, offered.get(call.tool)) for step, call in calls]
    known = [(one, call) for one, (_, call) in zip(started, calls, strict=True) if call.tool in offered]
    if known:
        await run.purse.reserve(
            [run.reservation(one.key, tool=_use(offered[call.tool])) for one, call in known]
        )
    for one, (_, call) in zip(started, calls, strict=True):
        one.reserved_microusd = run.purse.held.get(one.key, 0)
        run.lease.note(JournalEvent(step_started=one), Content(arguments_json=call.arguments_json))
    unknown = [one for one, (_, call) in zip(started, calls, strict=True) if call.tool not in offered]
    await observe(run, [(one, _no_such_tool(one.name, offered)) for one in unknown])
    await run.boundaries.reach("before_tool_started")
    await run.lease.write()
    await run.boundaries.reach("after_tool_started")
    if len(known) == 1:
        one, call = known[0]
        await observe(run, [(one, await _execute(run, one, call, offered))])
    elif known:
        await _execute_all(run, known, offered)


async def observe(run: ClaimedRun, outcomes: Sequence[tuple[StepStarted, Outcome]]) -> None:
    """Guard what tools brought, and note what came of each. Raises ParkedRun for an unknown outcome."""
    results = [(one, outcome) for one, outcome in outcomes if isinstance(outcome, ToolResult)]
    verdicts = await run.screen.results([result for _, result in results])
    for (started, result), verdict in zip(results, verdicts, strict=True):
        text, citations = renumber(result.text, result.citations, after=len(run.transcript.found()))
        finished = StepFinished(
            key=started.key,
            step=started.step,
            outcome=result.outcome,
            error_reason=result.error_reason,
            verdict=verdict,
            from_cache=result.from_cache,
            truncated=result.truncated,
            elapsed=result.elapsed,
        )
        finished.cost.amount_microusd = result.price_microusd
        content = Content(text=text, citations=citations, error_text=result.error_text)
        if started.effect:  # an unknown tool has none, and nothing was reserved for it
            run.purse.owe(Settlement(key=started.key, amount_microusd=result.price_microusd))
        run.lease.note(JournalEvent(step_finished=finished), content)
        run.transcript.heard(finished, content)
    for started, outcome in outcomes:
        if outcome == Abandonment.ABANDONMENT_TOMBSTONED:
            run.purse.owe(Settlement(key=started.key, release=True))
            run.abandon(started, Abandonment.ABANDONMENT_TOMBSTONED)
    for started, outcome in outcomes:
        if outcome == Abandonment.ABANDONMENT_UNKNOWN:
            await _park(run, started)


async def resolved(run: ClaimedRun, key: str) -> Outcome:
    """What became of a call whose answer was lost; the tools service knows."""
    request = ResolveRequest(key=key)
    answer = await patiently(run.lease, run.clock, lambda: run.toolbox.resolve(request))
    match answer.resolution:
        case Resolution.RESOLUTION_RESULT:
            return answer.result
        case Resolution.RESOLUTION_TOMBSTONED:
            return Abandonment.ABANDONMENT_TOMBSTONED
        case _:
            return Abandonment.ABANDONMENT_UNKNOWN


def _intention(run: ClaimedRun, step: int, call: ToolCall, tool: Tool | None) -> StepStarted:
    return StepStarted(
        key=run.lease.state.next_key(step, run.lease.epoch),
        step=step,
        kind=StepKind.STEP_KIND_TOOL,
        name=call.tool[:64],
        effect=tool.effect if tool is not None else Effect.EFFECT_UNSPECIFIED,
        call_id=call.call_id,
    )


async def _execute_all(
    run: ClaimedRun, calls: Sequence[tuple[StepStarted, ToolCall]], offered: Mapping[str, Tool]
) -> None:
    """What comes back while others are under way is written at once, so that it is not lost with us."""
    under_way = {asyncio.create_task(_execute(run, one, call, offered)): one for one, call in calls}
    try:
        while under_way:
            done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            ended = [(under_way.pop(task), task) for task in done]
            await observe(run, [(one, task.result()) for one, task in ended if task.exception() is None])
            for _, task in ended:
                task.result()  # the first failure ends the run, after the results beside it were noted
            if under_way:
                await run.lease.write()
    finally:
        await end(*under_way)


async def _execute(
    run: ClaimedRun, started: StepStarted, call: ToolCall, offered: Mapping[str, Tool]
) -> Outcome:
    timeout = offered[call.tool].timeout
    seconds = timeout.seconds + timeout.nanos / 1e9 + _MARGIN
    request = ExecuteRequest(
        key=started.key, tool=call.tool, arguments_json=call.arguments_json, allowed_tools=list(offered)
    )
    with span(f"execute_tool {started.name}") as traced:
        traced.set(names.GEN_AI_OPERATION, "execute_tool")
        traced.set(names.GEN_AI_TOOL_NAME, started.name)
        traced.set(names.GEN_AI_TOOL_CALL_ID, started.call_id)
        traced.set(names.MALHA_STEP, started.step)
        try:
            answer = await run.lease.within(
                patiently(run.lease, run.clock, lambda: run.toolbox.execute(request, timeout=seconds)),
                run.lease.remaining(),
            )
        except MalhaError as error:
            traced.fail(error.reason_name)
            if error.reason in _NO_WORD and run.lease.remaining() > 0:
                # it may have run: told "failed", a model would do it again
                outcome = await resolved(run, started.key)
                if outcome != Abandonment.ABANDONMENT_TOMBSTONED:
                    return outcome
            return _refused(run, error)
    await run.boundaries.reach("tool_returned")
    return answer.result


def _refused(run: ClaimedRun, error: MalhaError) -> Outcome:
    match error.reason:
        case ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN:
            return Abandonment.ABANDONMENT_UNKNOWN
        case ErrorReason.ERROR_REASON_EFFECT_TOMBSTONED:
            return Abandonment.ABANDONMENT_TOMBSTONED
        case ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED if run.lease.remaining() <= 0:
            raise error
        case _:
            failed = StepOutcome.STEP_OUTCOME_FAILED
            return ToolResult(outcome=failed, error_reason=error.reason_name, error_text=error.message)


async def _park(run: ClaimedRun, started: StepStarted) -> None:
    """Stop until a person says what became of this call, which is paid for meanwhile."""
    run.purse.owe(Settlement(key=started.key, at_ceiling=True))
    if run.lease.state.cancel_requested is not None:
        run.abandon(started, Abandonment.ABANDONMENT_UNKNOWN)
        return
    await run.purse.settle()
    parked = Parked(reason=ParkReason.PARK_REASON_OUTCOME_UNKNOWN, key=started.key)
    run.lease.note(JournalEvent(parked=parked))
    await run.lease.write()
    raise ParkedRun


def _use(tool: Tool) -> ToolUse:
    return ToolUse(tool=tool.name, price_microusd=tool.price_microusd)


def _no_such_tool(name: str, offered: Iterable[str]) -> ToolResult:
    there_are = ", ".join(sorted(offered)) or "none"
    return ToolResult(
        outcome=StepOutcome.STEP_OUTCOME_FAILED,
        error_reason="TOOL_NOT_FOUND",
        error_text=f"there is no tool {name!r}; the tools are: {there_are}",
    )
