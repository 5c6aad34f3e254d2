"""Cache and rate limiter on Valkey: the ports of ``cache`` and ``rate_limiter`` kept by a real store."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import cast

from redis.exceptions import NoScriptError

from malha.limits.cache import Key
from malha.limits.rate_limiter import Limit, Verdict
from malha.limits.valkey import Valkey

# All limits or none: a call that one limit refuses must not use up another's room.
# KEYS: one a limit. ARGV: interval and tolerance in microseconds, a pair a limit.
# No call leaves a time further ahead than interval and tolerance: what is far beyond was left before the
# clock went back, and says nothing.
# Answers {0, 0}, or {wait in microseconds, index of the limit that asks for the longest wait}.
_SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local tats, wait, which = {}, 0, 0
for i, key in ipairs(KEYS) do
  local interval, tolerance = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local tat = tonumber(redis.call('GET', key) or now)
  if tat < now or tat > now + 2 * (tolerance + interval) then tat = now end
  local early = tat - tolerance - now
  if early > wait then wait = early; which = i end
  tats[i] = tat + interval
end
if wait > 0 then return {math.ceil(wait), which} end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.0f', tats[i]), 'PX', math.max(1, math.ceil((tats[i] - now) / 1000)))
end
return {0, 0}
"""
_DIGEST = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()  # how EVALSHA names a script


class ValkeyCache:
    """The cache of every deployed service."""

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey

    async def get(self, key: Key) -> bytes | None:
        return cast(bytes | None, await self._valkey.ask("cache", "GET", key))

    async def set(self, key: Key, value: bytes, ttl: float) -> None:
        await self._valkey.ask("cache", "SET", key, value, "PX", max(1, round(ttl * 1000)))

    async def drop(self, key: Key) -> None:
        await self._valkey.ask("cache", "DEL", key)


class ValkeyRateLimiter:
    """The limiter of every deployed service.

    The whole decision is one script on the server's clock, so it is exact whatever number of replicas
    and calls meet on a key.
    """

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
