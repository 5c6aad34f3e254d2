"""CLAIM: what to do with a work item that was delivered.

Items are hints, the journal decides. An item may come early, late, twice, or for a run that is over.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum

from malha.run.state import RunState

MAX_CLAIMS = 5
"""Claims without a result of any step, after which a run is dead."""
MAX_DELIVERIES = 15
"""Deliveries without a result after which it is dead even if few of them came to a claim: a delivery may be
lost with a worker that dies of something else, but a run that kills whoever looks at it must end too."""


class ClaimDecision(Enum):
    """What to do with the item."""

    ACK = "nothing to do: ack"
    """The run does not exist any more, is over, or is parked and not due. Or it was parked under this very
    item: the acknowledgement of whoever parked it may still come, and would take the item from under its next
    owner; and what wakes a run makes an item of its own."""
    ACK_OTHER_QUEUED = "ack mine: another item that is still queued holds the run"
    DEAD = "append Finished(DEAD, TOO_MANY_DELIVERIES), then ack"
    """Where it was cancelled, Finished(CANCELLED): a replay could do nothing but end it so."""
    CLAIM = "append Claimed at the last sequence; its sequence is the epoch"


def other_item(state: RunState | None, item: int) -> int:
    """The item whose presence in the WORK stream decides ``other_queued``; 0 if nothing must be asked."""
    if state is None or state.final or state.claim is None or state.claim.item == item:
        return 0
    return state.claim.item


def decide_claim(
    state: RunState | None, *, item: int, delivery: int, item_time: datetime, other_queued: bool
) -> ClaimDecision:
    """What the journal allows.

    Args:
        state: the fold, None for a run without records.
        item: stream sequence of the delivered work item.
        delivery: how often it was delivered, from 1.
        item_time: when the stream stored the item: the broker's clock, by which a parked run is due.
        other_queued: whether ``other_item`` is still in the WORK stream; False if it answered 0.
    """
    if state is None or state.final or item in state.spent:
        return ClaimDecision.ACK
    if state.parked is not None and not _due(state, item_time):
        return ClaimDecision.ACK
    if other_queued and other_item(state, item):
        return ClaimDecision.ACK_OTHER_QUEUED
    if state.fruitless_claims >= MAX_CLAIMS or state.fruitless_deliveries(item, delivery) > MAX_DELIVERIES:
        return ClaimDecision.DEAD
    return ClaimDecision.CLAIM


def goes_on(state: RunState) -> bool:
    """Whether an open run may go on at once: it is not parked, or people decided, or someone ended it."""
    return state.parked is None or state.decided or state.cancel_requested is not None


def wake_time(state: RunState) -> datetime | None:
    """When a parked run goes on by itself; None where only a decision wakes it, or where it is not parked."""
    if state.parked is None or not state.parked.HasField("wake_at"):
        return None
    return state.parked.wake_at.ToDatetime(tzinfo=UTC)


def _due(state: RunState, now: datetime) -> bool:
    wake = wake_time(state)
    return goes_on(state) or (wake is not None and wake <= now)
