"""What a customer's subscriptions give it, from all that was told of them.

Webhooks come at least once and in any order. So none of them changes anything by itself: each is kept
once, and what they say together is read in the order in which it happened. Whatever comes when, the same
events give the same tier.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import NamedTuple

from malha.api.common.v1.principal_pb2 import Tier


class Standing(IntEnum):
    """What an event says of its subscription; of two in the same second the later one here comes last."""

    NAMED = 0
    """Nothing but whom it is for."""
    STOPPED = 1
    """It gives nothing until it is paid."""
    FAILING = 2
    """A payment failed, and is tried again."""
    PAID = 3
    ENDED = 4
    """It gives nothing, and never will again."""


class Event(NamedTuple):
    """One thing that was told."""

    event_id: str
    customer: str
    subscription: str
    created: int
    """Seconds since 1970, when it happened."""
    standing: Standing
    prices: tuple[str, ...] = ()
    """Ids and lookup keys of what is subscribed to; empty where the event does not say."""
    tenant: str = ""
    """Whom our own side said it is for; empty where it said nothing."""


class Paid(NamedTuple):
    """What a tenant's subscriptions give it."""

    tier: Tier
    """TIER_UNSPECIFIED before the first one: its keys have their own."""
    lapses_at: datetime | None = None
    """When TIER_FREE takes its place, since a payment failed (UTC)."""

    def at(self, now: datetime) -> Tier:
        """The tier at ``now``."""
        return Tier.TIER_FREE if self.lapses_at and now >= self.lapses_at else self.tier


UNPAID = Paid(Tier.TIER_UNSPECIFIED)
"""Nobody is known to pay for it."""


def paid(events: Iterable[Event], tiers: Mapping[str, Tier], grace: timedelta) -> Paid:
    """What the events of one customer come to.

    Args:
        tiers: by price id or lookup key; others give TIER_FREE.
        grace: how long after a failed payment what was paid before is still given.
    """
    told: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.standing != Standing.NAMED:
            told[event.subscription].append(event)
    if not told:
        return UNPAID
    given = [_given(one, tiers, grace) for one in told.values()]
    return max(given, key=_worth)


def _worth(given: Paid) -> tuple[bool, int, datetime]:
    """What makes one subscription count and not another: first that it is paid, and does not lapse."""
    lasts = given.lapses_at is None and given.tier > Tier.TIER_FREE
    return lasts, given.tier, given.lapses_at or datetime.max.replace(tzinfo=UTC)


def _given(events: Iterable[Event], tiers: Mapping[str, Tier], grace: timedelta) -> Paid:
    """What one subscription gives."""
    prices: tuple[str, ...] = ()
    in_force, failing_since = False, None
    for event in sorted(events, key=lambda event: (event.created, event.standing, event.prices)):
        prices = event.prices or prices
        match event.standing:
            case Standing.PAID:
                in_force, failing_since = True, None
            case Standing.FAILING if in_force and failing_since is None:
                failing_since = event.created
            case Standing.STOPPED:
                in_force = False
            case Standing.ENDED:
                return Paid(Tier.TIER_FREE)
    if not in_force:
        return Paid(Tier.TIER_FREE)
    tier = max((tiers.get(price, Tier.TIER_FREE) for price in prices), default=Tier.TIER_FREE)
    if failing_since is None:
        return Paid(tier)
    return Paid(tier, datetime.fromtimestamp(failing_since, UTC) + grace)
