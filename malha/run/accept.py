"""ACCEPT, DECIDE, CANCEL, REPLAY: the records that callers cause, one append each.

They need no claim: the fence alone orders them with what the worker writes.
"""

from __future__ import annotations

from collections.abc import Callable

from malha import errors
from malha.api.run.v1.record_pb2 import Record
from malha.errors import ErrorReason, MalhaError
from malha.run.fold import fold, fold_whatever
from malha.run.journal import Fenced, Journal
from malha.run.state import RunState

_ATTEMPTS = 50  # each lost one means that the run itself went on, so this many in a row is no contention


async def accept(journal: Journal, record: Record) -> RunState:
    """Open a run, or find it open: ``record`` is Accepted at sequence 0.

    The same key with the same request answers the run as it stands; nothing is stored twice.

    Raises:
        MalhaError: IDEMPOTENCY_CONFLICT (metadata run_id) if the run was opened by another request.
    """
    try:
        return fold([await journal.append(record, expected=0)])
    except Fenced as fenced:
        state = fold_whatever(fenced.entries)
    refuse_other(state, record.events[0].accepted.request_hash)
    return state


def refuse_other(state: RunState, request_hash: bytes) -> None:
    """Raise IDEMPOTENCY_CONFLICT (metadata run_id) if the run was opened by another request."""
    if state.accepted.request_hash != request_hash:
        raise MalhaError(
            ErrorReason.ERROR_REASON_IDEMPOTENCY_CONFLICT,
            "the idempotency key was used with another request",
            metadata={"run_id": state.run_id},
        )


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
    entries = await journal.load(tenant, run_id)
    if not entries:
        raise MalhaError(ErrorReason.ERROR_REASON_RUN_NOT_FOUND, "no such run")
    state = fold_whatever(entries)
    for _ in range(_ATTEMPTS):
        record = decide(state)
        if record is None:
            return state
        try:
            return fold_whatever([await journal.append(record, expected=state.last_sequence)], state)
        except Fenced as fenced:
            state = fold_whatever(fenced.entries, state)
    raise errors.unavailable("journal")
