"""GCRA's law: in any span of time no more calls pass than its rate and burst allow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from malha.testing.clock import FakeClock
from malha.testing.limits import MemoryRateLimiter


@given(
    rate=st.integers(1, 600),
    burst=st.integers(1, 20),
    gaps=st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=60),
)
async def test_no_span_sees_more_than_burst_and_rate_allow(rate: int, burst: int, gaps: list[float]) -> None:
    clock = FakeClock()
    limiter = MemoryRateLimiter(clock)
    passed: list[float] = []
    for gap in gaps:
        clock.advance(gap)
        if (await limiter.take("k", rate, burst)).allowed:
            passed.append(clock.monotonic())
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            span = passed[last] - passed[first]
            assert last - first + 1 <= burst + span * rate / 60 + 1e-3


@given(rate=st.integers(1, 600), burst=st.integers(1, 20), tries=st.integers(1, 60))
async def test_who_waits_as_long_as_told_is_let_in(rate: int, burst: int, tries: int) -> None:
    clock = FakeClock()
    limiter = MemoryRateLimiter(clock)
    for _ in range(tries):
        verdict = await limiter.take("k", rate, burst)
        if not verdict.allowed:
            clock.advance(verdict.retry_after)
            assert (await limiter.take("k", rate, burst)).allowed
