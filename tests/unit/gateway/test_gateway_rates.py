"""Who may call how often."""

from __future__ import annotations

import pytest

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.errors import ErrorReason, MalhaError
from malha.testing.clock import FakeClock
from malha.testing.limits import MemoryRateLimiter
from malha_gateway.rates import Rates


def rates(clock: FakeClock) -> Rates:
    return Rates(MemoryRateLimiter(clock), {Tier.TIER_FREE: 10, Tier.TIER_PRO: 100}, tenant_factor=3)


async def calls_until_refused(counted: Rates, principal: Principal) -> tuple[int, MalhaError]:
    for calls in range(10_000):
        try:
            await counted.count(principal)
        except MalhaError as error:
            return calls, error
    raise AssertionError("never refused")


@pytest.mark.parametrize(
    ("tier", "rate"), [(Tier.TIER_FREE, 10), (Tier.TIER_PRO, 100), (Tier.TIER_UNSPECIFIED, 10)]
)
async def test_a_key_has_its_tier_s_rate_and_is_told_when_to_come_back(tier: Tier, rate: int) -> None:
    clock = FakeClock()
    counted = rates(clock)
    key = Principal(tenant="acme", key_id="k", tier=tier)
    calls, error = await calls_until_refused(counted, key)
    assert calls == rate
    assert error.reason == ErrorReason.ERROR_REASON_RATE_LIMITED
    assert error.metadata == {"limit": f"{rate}/min", "scope": "key"}
    assert error.retry_after == pytest.approx(60 / rate)
    clock.advance(error.retry_after or 0)
    await counted.count(key)


async def test_making_keys_does_not_make_rate() -> None:
    counted = rates(FakeClock())
    total, last = 0, None
    for number in range(5):
        calls, last = await calls_until_refused(counted, Principal(tenant="acme", key_id=str(number)))
        total += calls
    assert total == 30
    assert last is not None
    assert last.metadata["scope"] == "tenant"


async def test_one_tenant_s_calls_are_not_another_s() -> None:
    counted = rates(FakeClock())
    await calls_until_refused(counted, Principal(tenant="acme", key_id="k"))
    await counted.count(Principal(tenant="other", key_id="k"))
