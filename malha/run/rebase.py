"""REBASE: what a worker may still do after others wrote into its run.

Pure. The worker folds the entries that ``Fenced`` brought, asks here, and obeys.
"""

from __future__ import annotations

from enum import Enum

from malha.run.state import RunState


class Rebase(Enum):
    """The three things left to do."""

    APPEND_AGAIN = "append again"
    """The run is still mine: append the same events at the new last sequence."""
    CANCELLED = "cancelled"
    """Still mine, but someone asked for its end: append what is known, the result and Finished(CANCELLED)."""
    FENCED = "fenced"
    """No longer mine, or over: settle my own keys, drop the item, send nothing for it (no ack, no nak)."""


def rebase(state: RunState, epoch: int) -> Rebase:
    """What the owner of claim ``epoch`` may do, given the fold of everything stored."""
    if state.final or state.claim is None or state.epoch != epoch:
        return Rebase.FENCED
    if state.cancel_requested is not None:
        return Rebase.CANCELLED
    return Rebase.APPEND_AGAIN
