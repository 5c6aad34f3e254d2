"""Rates kept by GCRA: one timestamp a key instead of a window of counters.

The generic cell rate algorithm (ITU-T I.371) keeps the *theoretical arrival time* (TAT) of the next
call that would be exactly on rate. A call is allowed while the TAT is no further ahead than the burst;
the distance is also the honest answer to "when may I come back?".

Fails open: without the store calls are allowed, counted and logged, and the verdict says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

_MINUTE_US = 60_000_000


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate on a key. The key holds the tenant; limits taken together share a ``{hash tag}`` in a cluster.

    ``rate_per_minute`` calls a minute in the long run, ``burst`` of them at once.
    """

    key: str
    rate_per_minute: float
    burst: int

    def pace(self) -> tuple[int, int]:
        """(interval between calls, how early a call may come), both in microseconds."""
        interval = _MINUTE_US / self.rate_per_minute
        return max(1, round(interval)), round(interval * (self.burst - 1))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a call may go ahead; if not, in how many seconds, and which limit asks for that.

    ``checked`` is False where the store was away and the call was let through unseen.
    """

    allowed: bool
    retry_after: float = 0.0
    limit: Limit | None = None
    checked: bool = True


class RateLimiter(Protocol):
    """Says whether one more call is within its rates, and counts it if so."""

    async def take(self, key: str, rate_per_minute: float, burst: int) -> Verdict:
        """One call against one limit."""
        ...

    async def take_all(self, limits: Sequence[Limit]) -> Verdict:
        """One call against several limits: counted on all of them or on none."""
        ...
