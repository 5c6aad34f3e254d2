"""ReAct: the model reasons, asks for tools, sees their results, and in the end answers.

Pure: from the transcript and the limits follows what to do next. So a worker that resumes a run
decides exactly what its first owner would have decided.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from malha.api.run.v1.chat_pb2 import Citation, ToolCall
from malha.api.run.v1.record_pb2 import RunLimits, Verdict
from malha.errors import ErrorReason, Reason
from malha_planner.citations import cited
from malha_planner.transcript import Transcript, Turn

MODEL_ATTEMPTS = 3
REPEATS = 3
WINDOW = 5


@dataclass(frozen=True, slots=True)
class CallModel:
    """Call the model as this step."""

    step: int
    attempt: int = 1
    """Counts from 1; more than one after failures that may pass."""
    may_call_tools: bool = True
    """False on the last call the limit allows: results of tools could never be read."""


@dataclass(frozen=True, slots=True)
class CallTools:
    """Carry these calls out, at the same time: (step number, call)."""

    calls: list[tuple[int, ToolCall]]


@dataclass(frozen=True, slots=True)
class Answer:
    """The run is done."""

    text: str
    citations: list[Citation]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Fail:
    """The run cannot go on."""

    reason: Reason
    text: str
    metadata: dict[str, str] = field(default_factory=dict)


Decision = CallModel | CallTools | Answer | Fail


def decide(transcript: Transcript, limits: RunLimits) -> Decision:
    """What to do next in a run without open steps."""
    if not transcript.turns:
        return CallModel(1, may_call_tools=limits.max_iterations > 1)
    turn = transcript.turns[-1]
    last_call = len(transcript.turns) >= limits.max_iterations
    if turn.message is None:
        return _ask_again(turn, last_call)
    if not turn.message.tool_calls:
        return _answer(transcript, turn)
    if last_call:
        return Fail(
            ErrorReason.ERROR_REASON_ITERATION_LIMIT,
            f"the agent had no answer after {limits.max_iterations} model calls",
            {"max_iterations": str(limits.max_iterations)},
        )
    if repeated := _repeated(transcript):
        return Fail(
            ErrorReason.ERROR_REASON_REPEATED_ACTION,
            f"the agent asked for the same call of {repeated} {REPEATS} times in its last {WINDOW}",
            {"tool": repeated},
        )
    if pending := turn.pending():
        return CallTools(pending)
    return CallModel(turn.next_step, may_call_tools=len(transcript.turns) + 1 < limits.max_iterations)


def _ask_again(turn: Turn, last_call: bool) -> Decision:
    if turn.failures:
        reason, text = turn.failures[-1]
        if reason != "MODEL_UNAVAILABLE":
            return Fail(ErrorReason.ERROR_REASON_MODEL_REFUSED, text)
        if len(turn.failures) >= MODEL_ATTEMPTS:
            return Fail(ErrorReason.ERROR_REASON_MODEL_UNAVAILABLE, text)
    return CallModel(turn.step, attempt=len(turn.failures) + 1, may_call_tools=not last_call)


def _answer(transcript: Transcript, turn: Turn) -> Decision:
    assert turn.message is not None
    if not turn.message.text.strip():
        return Fail(
            ErrorReason.ERROR_REASON_MODEL_REFUSED, "the model gave neither an answer nor a tool call"
        )
    citations = turn.citations or cited(turn.message.text, transcript.found())
    return Answer(turn.message.text, citations, turn.verdict)


def _repeated(transcript: Transcript) -> str:
    """The tool that the last message asks for once too often; empty where none."""
    asked = [call for turn in transcript.turns for _, call in turn.calls()]
    if len(asked) < REPEATS:
        return ""
    calls = [_canonical(call) for call in asked]
    new = len(list(transcript.turns[-1].calls()))
    for end in range(len(calls) - new + 1, len(calls) + 1):
        if calls[max(0, end - WINDOW) : end].count(calls[end - 1]) >= REPEATS:
            return calls[end - 1][0]
    return ""


def _canonical(call: ToolCall) -> tuple[str, str]:
    """Equal for calls that differ in spelling alone (spaces, order of keys)."""
    try:
        return call.tool, json.dumps(json.loads(call.arguments_json), sort_keys=True)
    except (ValueError, RecursionError):
        return call.tool, call.arguments_json
