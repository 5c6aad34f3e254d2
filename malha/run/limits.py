"""How large a journal may grow, and who is told when it is full."""

from __future__ import annotations

from malha.api.run.v1.record_pb2 import Record, StepKind, StepStarted
from malha.errors import ErrorReason, MalhaError
from malha.run.state import RunState

MAX_RECORDS = 5_000
MAX_BYTES = 16 * 1024 * 1024
MAX_RECORD_BYTES = 900_000
"""One record is one message; the streams allow 900 KiB with headers."""
MAX_RESULT_BYTES = 256 * 1024
"""A tool's result is cut to this, and says so."""
_MASKED = 2
"""How much longer a text may become where the guard puts names of kinds in place of what it masks."""

_RECORDS_KEPT_BACK = 16
"""For claims, cancellations and the end: what must still fit into a journal that starts no more steps."""


def check_room(state: RunState, record: Record) -> None:
    """Raise MalhaError JOURNAL_LIMIT if the steps that ``record`` starts would have no room to end.

    Only a start asks for room, and asks for that of its result too: what has begun can always be
    written down, and a full journal can always be closed.
    """
    starting = [event.step_started for event in record.events if event.HasField("step_started")]
    if not starting:
        return
    to_end = [*starting, *(step.started for step in state.open_steps())]
    size = state.bytes + record.ByteSize() + sum(map(_longest_end, to_end)) + MAX_RECORD_BYTES
    records = state.records + 1 + len(to_end) + _RECORDS_KEPT_BACK
    if size > MAX_BYTES or records > MAX_RECORDS:
        raise MalhaError(
            ErrorReason.ERROR_REASON_JOURNAL_LIMIT,
            f"the run's journal is full: {MAX_RECORDS} records or {MAX_BYTES >> 20} MiB",
        )


def _longest_end(started: StepStarted) -> int:
    """Bytes that the record of the step's end may take."""
    tool = started.kind == StepKind.STEP_KIND_TOOL
    return _MASKED * MAX_RESULT_BYTES if tool else MAX_RECORD_BYTES
