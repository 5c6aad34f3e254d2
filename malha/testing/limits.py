"""Cache and rate limiter in memory, held to the same contract as those on Valkey."""

from __future__ import annotations

import math
from collections.abc import Sequence

from malha.clock import Clock, SystemClock
from malha.limits.cache import Key
from malha.limits.rate_limiter import Limit, Verdict


class MemoryRateLimiter:
    """GCRA over a dictionary. Set ``away`` to see what callers make of an absent store."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._tats: dict[str, int] = {}
        self.away = False

    async def take(self, key: str, rate_per_minute: float, burst: int) -> Verdict:
        return await self.take_all((Limit(key, rate_per_minute, burst),))

    async def take_all(self, limits: Sequence[Limit]) -> Verdict:
        if self.away:
            return Verdict(allowed=True, checked=False)
        now = round(self._clock.monotonic() * 1_000_000)
        tats: dict[str, int] = {}
        wait, refused_by = 0, None
        for limit in limits:
            interval, tolerance = limit.pace()
            tat = max(self._tats.get(limit.key, now), now)
            if tat - tolerance - now > wait:
                wait, refused_by = tat - tolerance - now, limit
            tats[limit.key] = tat + interval
        if refused_by is not None:
            return Verdict(False, math.ceil(wait / 1000) / 1000, refused_by)
        self._tats.update(tats)
        return Verdict(allowed=True)


class MemoryCache:
    """A dictionary that forgets in time. Set ``away`` to see what callers make of an absent store."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._kept: dict[Key, tuple[bytes, float]] = {}
        self.away = False

    async def get(self, key: Key) -> bytes | None:
        value, until = self._kept.get(key, (b"", -math.inf))
        return value if not self.away and self._clock.monotonic() < until else None

    async def set(self, key: Key, value: bytes, ttl: float) -> None:
        if not self.away:
            self._kept[key] = (value, self._clock.monotonic() + ttl)

    async def drop(self, key: Key) -> None:
        self._kept.pop(key, None)
