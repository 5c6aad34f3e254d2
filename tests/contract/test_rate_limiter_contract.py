"""What every rate limiter promises, asked of the one in memory and of the one on a real Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from malha.ids import ulid
from malha.limits.on_valkey import ValkeyRateLimiter
from malha.limits.rate_limiter import Limit, RateLimiter
from malha.limits.valkey import Valkey
from malha.telemetry import metrics
from malha.testing.limits import MemoryRateLimiter

NOWHERE = "redis://127.0.0.1:1"


@pytest.fixture(params=["memory", "valkey"])
async def limiter(request: pytest.FixtureRequest) -> AsyncIterator[RateLimiter]:
    if request.param == "memory":
        yield MemoryRateLimiter()
        return
    valkey = Valkey(request.getfixturevalue("valkey_url"))
    yield ValkeyRateLimiter(valkey)
    await valkey.close()


async def test_a_burst_passes_and_the_next_call_is_told_when_to_come_back(limiter: RateLimiter) -> None:
    key = ulid()
    assert all([(await limiter.take(key, 1, 5)).allowed for _ in range(5)])
    verdict = await limiter.take(key, 1, 5)
    assert not verdict.allowed
    assert verdict.limit == Limit(key, 1, 5)
    assert 50.0 < verdict.retry_after <= 60.0


async def test_of_many_calls_at_once_exactly_the_burst_passes(limiter: RateLimiter) -> None:
    key = ulid()
    verdicts = await asyncio.gather(*(limiter.take(key, 1, 40) for _ in range(200)))
    assert sum(v.allowed for v in verdicts) == 40
    assert all(v.checked for v in verdicts)


async def test_a_call_is_counted_on_all_its_limits_or_on_none(limiter: RateLimiter) -> None:
    tight, wide = Limit(ulid(), 1, 1), Limit(ulid(), 1, 2)
    assert (await limiter.take_all([tight, wide])).allowed
    refused = await limiter.take_all([wide, tight])
    assert not refused.allowed
    assert refused.limit == tight
    assert (await limiter.take(wide.key, 1, 2)).allowed, "the refused call must not have used the wide limit"


async def test_a_rate_beyond_the_clock_s_resolution_still_counts(limiter: RateLimiter) -> None:
    verdict = await limiter.take(ulid(), 1e9, 10**9)
    assert verdict.allowed
    assert verdict.checked


async def test_keys_do_not_share_their_rates(limiter: RateLimiter) -> None:
    assert (await limiter.take(ulid(), 1, 1)).allowed
    assert (await limiter.take(ulid(), 1, 1)).allowed


async def test_who_comes_back_later_is_let_in(limiter: RateLimiter) -> None:
    key = ulid()
    assert (await limiter.take(key, 6000, 1)).allowed
    async with asyncio.timeout(5):
        while not (await limiter.take(key, 6000, 1)).allowed:
            pass


async def test_where_the_store_s_clock_goes_back_an_hour_nobody_is_locked_out_for_it(valkey_url: str) -> None:
    key, valkey = ulid(), Valkey(valkey_url)
    limiter = ValkeyRateLimiter(valkey)
    assert (await limiter.take(key, 10, 5)).allowed
    left = int(await valkey.ask("tests", "GET", f"rate:{key}"))
    await valkey.ask("tests", "SET", f"rate:{key}", left + 3600 * 1_000_000)  # as the clock tells it then
    assert all([(await limiter.take(key, 10, 5)).allowed for _ in range(5)])
    assert not (await limiter.take(key, 10, 5)).allowed
    await valkey.close()


async def test_without_its_store_the_limiter_lets_calls_through_and_says_so() -> None:
    valkey = Valkey(NOWHERE)
    counted = metrics.LIMITS_FAILED_OPEN.labels("rate_limiter")
    before = counted._value.get()
    verdict = await ValkeyRateLimiter(valkey).take("k", 1, 1)
    assert verdict.allowed
    assert not verdict.checked
    assert counted._value.get() == before + 1
    await valkey.close()
