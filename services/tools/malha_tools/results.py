"""How a call of a tool is told: failures a model can act on, and never more than fits a journal."""

from __future__ import annotations

from collections.abc import Sequence

from malha.api.run.v1.record_pb2 import StepOutcome
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.errors import ErrorReason, MalhaError, Reason

MOST_BYTES = 256 * 1024
_NOTE = "\n[cut here: the result was longer than 256 KiB]"
_LONGEST_ERROR = 2000

UNREADABLE = (
    "they are no JSON object, or are nested too deeply, or hold an integer of more than 64 bits"
    " (which can be sent as text)"
)
"""What is wrong with arguments that cannot be held against a schema."""


def failed(reason: Reason, text: str) -> ToolResult:
    """A call that failed and says why."""
    return ToolResult(
        outcome=StepOutcome.STEP_OUTCOME_FAILED,
        error_reason=MalhaError(reason, text).reason_name,
        error_text=text[:_LONGEST_ERROR],
    )


def misfit(faults: Sequence[str], properties: Sequence[str]) -> ToolResult:
    """Arguments that break the tool's schema: what is wrong, and what there is."""
    known = f" Its arguments are: {', '.join(properties)}." if properties else " It takes no arguments."
    return failed(
        ErrorReason.ERROR_REASON_FIELD_INVALID,
        f"The arguments do not fit the tool's schema: {'; '.join(faults)}.{known}",
    )


def cut(result: ToolResult) -> None:
    """Bring the result down to 256 KiB, and say so: the JSON goes whole (half of it is no JSON), the text
    as far as it fits, citations beyond the room from the last."""
    if result.ByteSize() <= MOST_BYTES:
        return
    result.truncated = True
    text = (result.text or result.result_json).encode()
    result.result_json = ""
    result.text = ""
    while result.citations and result.ByteSize() > MOST_BYTES // 2:
        del result.citations[-1]
    # 64: the tag and length of the text, and what is filled in later (elapsed, price)
    room = MOST_BYTES - result.ByteSize() - len(_NOTE.encode()) - 64
    result.text = text[:room].decode(errors="ignore") + (_NOTE if len(text) > room else "")
