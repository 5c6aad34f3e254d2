"""Rates kept by GCRA: one timestamp a key instead of a window of counters.

The generic cell rate algorithm (ITU-T I.371) keeps the *theoretical arrival time* (TAT) of the next
call that would be exactly on rate. A call is allowed while the TAT is no further ahead than the burst;
the distance is also the honest answer to "when may I come back?". On Valkey the whole decision is one
script on the server's clock, so it is exact whatever number of replicas and calls meet on a key.

Fails open: without the store calls are allowed, counted and logged, and the verdict says so.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from redis.exceptions import NoScriptError

from malha.limits.valkey import Valkey

_MINUTE_US = 60_000_000

# All limits or none: a call that one limit refuses must not use up another's room.
# KEYS: one a limit. ARGV: interval and tolerance in microseconds, a pair a limit.
# Answers {0, 0}, or {wait in microseconds, index of the limit that asks for the longest wait}.
_SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local tats, wait, which = {}, 0, 0
for i, key in ipairs(KEYS) do
  local tat = tonumber(redis.call('GET', key) or now)
  if tat < now then tat = now end
  local early = tat - tonumber(ARGV[2 * i]) - now
  if early > wait then wait = early; which = i end
  tats[i] = tat + tonumber(ARGV[2 * i - 1])
end
if wait > 0 then return {math.ceil(wait), which} end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.0f', tats[i]), 'PX', math.max(1, math.ceil((tats[i] - now) / 1000)))
end
return {0, 0}
"""
_DIGEST = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()  # how EVALSHA names a script


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


class ValkeyRateLimiter:
    """The limiter of every deployed service."""

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey

    async def take(self, key: str, rate_per_minute: float, burst: int) -> Verdict:
        return await self.take_all((Limit(key, rate_per_minute, burst),))

    async def take_all(self, limits: Sequence[Limit]) -> Verdict:
        keys = [f"rate:{limit.key}" for limit in limits]
        arguments = [figure for limit in limits for figure in limit.pace()]

        try:
            answer = await self._valkey.ask("rate_limiter", "EVALSHA", _DIGEST, len(keys), *keys, *arguments)
        except NoScriptError:  # a fresh store; EVAL leaves the script there
            answer = await self._valkey.ask("rate_limiter", "EVAL", _SCRIPT, len(keys), *keys, *arguments)
        if answer is None:
            return Verdict(allowed=True, checked=False)
        wait_us, which = answer
        if not wait_us:
            return Verdict(allowed=True)
        # rounded up to a millisecond: who comes back after it is never refused for a microsecond
        return Verdict(False, math.ceil(wait_us / 1000) / 1000, limits[which - 1])
