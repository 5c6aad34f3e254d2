"""What the follower makes of a record: whether it wakes a worker, and what it announces.

Pure. Facts are thin: ids, status, amounts and sequence, never a word of content.
"""

from __future__ import annotations

from malha.api.event.v1.event_pb2 import RunFact
from malha.api.run.v1.record_pb2 import Record
from malha.run.fold import RunState
from malha.run.journal import Entry


def wakes(record: Record, state_before: RunState | None) -> bool:
    """Whether ``record`` calls for a work item.

    Accepted always does. A cancellation does exactly if the run was parked: a run that a worker has is
    told by its doorbell, and a queued one still has its item.

    Args:
        record: the record just read.
        state_before: the fold of all before it, None if it is the first.
    """
    raise NotImplementedError


def facts(entry: Entry, state: RunState) -> list[tuple[str, RunFact]]:
    """(type, fact) for every event worth announcing, in order; types are ``run.accepted`` and so on.

    Args:
        entry: the record just read.
        state: the fold up to and including it (steps' ends take kind and name from their starts).
    """
    raise NotImplementedError


def without_content(entry: Entry) -> Entry:
    """The same entry with sealed contents left out, so that a follower's states stay small."""
    raise NotImplementedError
