"""An archived journal in pages: a journal may be 16 MiB, a message may not."""

from __future__ import annotations

from collections.abc import Sequence

from malha.api.planner.v1.planner_service_pb2 import GetArchivedJournalResponse
from malha.api.run.v1.archive_pb2 import ArchivedRecord
from malha.errors import ErrorReason, MalhaError

_BYTES = 1024 * 1024


def page(records: Sequence[ArchivedRecord], *, after: int) -> GetArchivedJournalResponse:
    """The records after a sequence, as many as a page holds but at least one. Raises RUN_NOT_FOUND."""
    if not records:
        raise MalhaError(ErrorReason.ERROR_REASON_RUN_NOT_FOUND, "there is no such run in the archive")
    response = GetArchivedJournalResponse()
    room = _BYTES
    for record in records:
        if record.sequence <= after:
            continue
        room -= len(record.record)
        if room < 0 and response.journal.records:
            response.more = True
            break
        response.journal.records.append(record)
    return response
