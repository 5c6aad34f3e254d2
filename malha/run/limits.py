"""How large a journal may grow, and who is told when it is full."""

from __future__ import annotations

from malha.api.run.v1.record_pb2 import Record
from malha.run.fold import RunState

MAX_RECORDS = 5_000
MAX_BYTES = 16 * 1024 * 1024
MAX_RECORD_BYTES = 900_000
"""One record is one message; the streams allow 900 KiB with headers."""
MAX_RESULT_BYTES = 256 * 1024
"""A tool's result is cut to this, and says so."""


def check_room(state: RunState, record: Record) -> None:
    """Raise MalhaError JOURNAL_LIMIT if ``record`` would overfill the run's journal.

    A record with Finished always passes: a full journal must still be closed, with that reason.
    """
    raise NotImplementedError
