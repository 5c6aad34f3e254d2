"""What callers cause, as the journal keeps it."""

from __future__ import annotations

from malha.api.run.v1.record_pb2 import JournalEvent, Record
from malha.clock import Clock
from malha.timestamps import stamp


def record_of(event: JournalEvent, tenant: str, run_id: str, clock: Clock) -> Record:
    """The record of one thing that a caller causes."""
    return Record(tenant=tenant, run_id=run_id, events=[event], written_at=stamp(clock.now()))
