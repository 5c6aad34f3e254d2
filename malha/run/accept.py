"""ACCEPT, DECIDE, CANCEL, REPLAY: the records that callers cause, one append each.

They need no claim: the fence alone orders them with what the worker writes.
"""

from __future__ import annotations

from collections.abc import Callable

from malha.api.run.v1.record_pb2 import Record
from malha.run.fold import RunState
from malha.run.journal import Journal


async def accept(journal: Journal, record: Record) -> RunState:
    """Open a run, or find it open: ``record`` is Accepted at sequence 0.

    The same key with the same request answers the run as it stands; nothing is stored twice.

    Raises:
        MalhaError: IDEMPOTENCY_CONFLICT (metadata run_id) if the run was opened by another request.
    """
    raise NotImplementedError


async def amend(
    journal: Journal, tenant: str, run_id: str, decide: Callable[[RunState], Record | None]
) -> RunState:
    """LOAD, let ``decide`` validate and write the record, append it; again while others write first.

    Args:
        decide: the record to append given the state, or None to leave it; raises to refuse. It may be
            called several times, each with a newer state.

    Raises:
        MalhaError: RUN_NOT_FOUND; and what ``decide`` raises.
    """
    raise NotImplementedError
