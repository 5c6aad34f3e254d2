"""The tool calls of one message, at the same time, each under its own step number and effect key."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from malha.api.cost.v1.cost_service_pb2 import Settlement, ToolUse
from malha.api.run.v1.chat_pb2 import ToolCall
from malha.api.run.v1.record_pb2 import (
    Abandonment,
    Clearance,
    Content,
    Effect,
    JournalEvent,
    Proposed,
    StepFinished,
    StepKind,
    StepOutcome,
    StepStarted,
)
from malha.api.tools.v1.tool_pb2 import Tool
from malha.api.tools.v1.tools_service_pb2 import ExecuteRequest, Resolution, ResolveRequest, ToolResult
from malha.errors import ErrorReason, MalhaError
from malha.tasks import end
from malha.telemetry import metrics, names
from malha.telemetry.traces import span
from malha_planner.citations import renumber
from malha_planner.claimed import ClaimedRun
from malha_planner.leave import Go, Refuse, Wait, Withhold, leave, used
from malha_planner.parking import park_for_leave, park_for_outcomes, tell, told, withheld
from malha_planner.patience import AWAY, patiently

_MARGIN = 2.0
"""Seconds beyond a tool's own timeout in which the tools service says that it timed out."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
"""What a tool may be called. Anything else a model writes there is text, which is not kept in the clear."""

_NO_WORD = {
    ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED,
    ErrorReason.ERROR_REASON_CANCELLED,
    ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE,
    ErrorReason.ERROR_REASON_INTERNAL,
}
"""Errors of a call that do not say whether the tool ran."""
_SILENCE = {ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, ErrorReason.ERROR_REASON_CANCELLED}
"""Those of them that say nothing of the call: the service itself tells of a tool that takes too long."""

Outcome: TypeAlias = "ToolResult | Abandonment"
"""What came of a call: a result, or how its attempt is given up."""


async def call_tools(run: ClaimedRun, calls: Sequence[tuple[int, ToolCall]]) -> None:
    """Carry the calls out; their results are noted and in the transcript.

    A tool that fails, refuses its arguments or does not exist is a result that the model is shown. The
    calls that wait for people's leave wait together, once all others are done.
    """
    offered = {tool.name: tool for tool in await run.tools()}
    uses = used(run.lease.state)
    going: list[tuple[StepStarted, ToolCall]] = []
    notices: list[tuple[Proposed, ToolCall]] = []
    answered: list[tuple[StepStarted, ToolCall, ToolResult]] = []
    waiting: list[tuple[Wait, ToolCall]] = []
    for step, call in calls:
        tool = offered.get(call.tool)
        if tool is None:
            answered.append((_intention(run, step, call), call, _no_such_tool(call.tool, offered)))
            continue
        policy, state = run.agent.approvals, run.lease.state
        match leave(policy, state, tool, call, step, now=run.lease.now(), uses=uses):
            case Go(clearance, notice):
                going.append((_intention(run, step, call, tool, clearance), call))
                if notice is not None:
                    notices.append((notice, call))
            case Wait() as wait:
                waiting.append((wait, call))
            case Withhold(proposal):
                answered.append((_intention(run, step, call), call, await withheld(run, proposal)))
            case Refuse(text):
                answered.append((_intention(run, step, call), call, _failed("FIELD_INVALID", text)))
    for notice, call in notices:
        await tell(run, notice, offered[call.tool], call)
    if going or answered:
        await park_for_outcomes(run, await _carry_out(run, going, answered, offered))
    if waiting:
        await park_for_leave(run, waiting, offered)


async def _carry_out(
    run: ClaimedRun,
    going: Sequence[tuple[StepStarted, ToolCall]],
    answered: Sequence[tuple[StepStarted, ToolCall, ToolResult]],
    offered: Mapping[str, Tool],
) -> list[StepStarted]:
    """Make the calls that go, beside those that are answered already; those of unknown outcome."""
    priced = [(one, offered[call.tool]) for one, call in going if offered[call.tool].price_microusd]
    if priced:
        await run.purse.reserve([run.reservation(one.key, tool=_use(tool)) for one, tool in priced])
    starting = [*going, *((one, call) for one, call, _ in answered)]
    for one, call in sorted(starting, key=lambda pair: pair[0].step):
        one.reserved_microusd = run.purse.held.get(one.key, 0)
        run.lease.notes.add(JournalEvent(step_started=one), Content(arguments_json=call.arguments_json))
    unknown = await observe(run, [(one, result) for one, _, result in answered])
    await run.boundaries.reach("before_tool_started")
    await run.lease.write()
    await run.boundaries.reach("after_tool_started")
    if len(going) == 1:
        one, call = going[0]
        unknown += await observe(run, [(one, await _execute(run, one, call, offered))])
    elif going:
        unknown += await _execute_all(run, going, offered)
    return unknown


async def observe(run: ClaimedRun, outcomes: Sequence[tuple[StepStarted, Outcome]]) -> list[StepStarted]:
    """Guard what tools brought, and note what came of each; those of unknown outcome, for people to say."""
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
            saved = started.reserved_microusd - result.price_microusd if result.from_cache else 0
            figures = Settlement(amount_microusd=result.price_microusd, saved_microusd=max(0, saved))
            run.purse.owe(started, figures)
        run.lease.notes.add(JournalEvent(step_finished=finished), content)
        metrics.PLANNER_STEPS.labels("tool", finished.error_reason or "OK").observe(
            finished.elapsed.ToNanoseconds() / 1e9
        )
        run.transcript.heard(finished, content)
    for started, outcome in outcomes:
        if outcome == Abandonment.ABANDONMENT_TOMBSTONED:
            run.purse.owe(started, Settlement(release=True))
            run.abandon(started, Abandonment.ABANDONMENT_TOMBSTONED)
    return [started for started, outcome in outcomes if outcome == Abandonment.ABANDONMENT_UNKNOWN]


async def resolved(run: ClaimedRun, started: StepStarted) -> Outcome:
    """What became of a call whose answer was lost: the tools service knows, or a person said."""
    if (said := await told(run, started)) is not None:
        return said
    request = ResolveRequest(key=started.key)
    answer = await patiently(run.lease, lambda: run.toolbox.resolve(request))
    match answer.resolution:
        case Resolution.RESOLUTION_RESULT:
            return answer.result
        case Resolution.RESOLUTION_TOMBSTONED:
            return Abandonment.ABANDONMENT_TOMBSTONED
        case _:
            return Abandonment.ABANDONMENT_UNKNOWN


def _intention(
    run: ClaimedRun, step: int, call: ToolCall, tool: Tool | None = None, clearance: Clearance | None = None
) -> StepStarted:
    """The start of a call; without a tool it is one that is answered without being made."""
    return StepStarted(
        key=run.lease.state.next_key(step, run.lease.epoch),
        step=step,
        kind=StepKind.STEP_KIND_TOOL,
        name=call.tool if _NAME.fullmatch(call.tool) else "unknown",
        effect=tool.effect if tool is not None else Effect.EFFECT_UNSPECIFIED,
        call_id=call.call_id,
        clearance=clearance,
    )


async def _execute_all(
    run: ClaimedRun, calls: Sequence[tuple[StepStarted, ToolCall]], offered: Mapping[str, Tool]
) -> list[StepStarted]:
    """What comes back while others are under way is written at once, so that it is not lost with us."""
    unknown: list[StepStarted] = []
    under_way = {asyncio.create_task(_execute(run, one, call, offered)): one for one, call in calls}
    try:
        while under_way:
            done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            ended = [(under_way.pop(task), task) for task in done]
            known = [(one, task.result()) for one, task in ended if task.exception() is None]
            unknown += await observe(run, known)
            for _, task in ended:
                task.result()  # the first failure ends the run, after the results beside it were noted
            if under_way:
                await run.lease.write()
    finally:
        await end(*under_way)
    return unknown


async def _execute(
    run: ClaimedRun, started: StepStarted, call: ToolCall, offered: Mapping[str, Tool]
) -> Outcome:
    timeout = offered[call.tool].timeout
    seconds = timeout.seconds + timeout.nanos / 1e9 + _MARGIN
    request = ExecuteRequest(
        key=started.key, tool=call.tool, arguments_json=call.arguments_json, allowed_tools=list(offered)
    )
    if started.HasField("clearance"):
        request.clearance.CopyFrom(started.clearance)
    execute = partial(run.toolbox.execute, request, timeout=seconds)
    with span(f"execute_tool {started.name}") as traced:
        traced.set(names.GEN_AI_OPERATION, "execute_tool")
        traced.set(names.GEN_AI_TOOL_NAME, started.name)
        traced.set(names.GEN_AI_TOOL_CALL_ID, started.call_id)
        traced.set(names.MALHA_STEP, started.step)
        try:
            # what was silent so long is asked what became of the call, below
            answer = await patiently(run.lease, execute, passing=AWAY)
        except MalhaError as error:
            traced.fail(error.reason_name)
            if error.reason in _NO_WORD and run.lease.remaining() > 0:
                # it may have run: told "failed", a model would do it again. If it did not, a service that was
                # silent is asked once more, under a new key
                outcome = await resolved(run, started)
                if outcome != Abandonment.ABANDONMENT_TOMBSTONED or error.reason in _SILENCE:
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
            return _failed(error.reason_name, error.message)


def _use(tool: Tool) -> ToolUse:
    return ToolUse(tool=tool.name, price_microusd=tool.price_microusd)


def _no_such_tool(name: str, offered: Iterable[str]) -> ToolResult:
    there_are = ", ".join(sorted(offered)) or "none"
    return _failed("TOOL_NOT_FOUND", f"there is no tool {name[:64]!r}; the tools are: {there_are}")


def _failed(reason: str, text: str) -> ToolResult:
    failed = StepOutcome.STEP_OUTCOME_FAILED
    return ToolResult(outcome=failed, error_reason=reason, error_text=text)
