"""Calls a minute, per user and tool, by tier; counted in the mesh's rate limiter."""

from __future__ import annotations

from collections.abc import Mapping

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.errors import ErrorReason, MalhaError
from malha.limits.rate_limiter import RateLimiter


class TierQuota:
    """See :class:`malha_tools.ports.Quota`. Fails open: with the store away every call goes through.

    Args:
        limiter: counts.
        per_minute: calls by tier; as many may come at once. A tier it does not name has TIER_FREE's.
    """

    def __init__(self, limiter: RateLimiter, per_minute: Mapping[Tier, int]) -> None:
        self._limiter = limiter
        self._per_minute = per_minute

    async def take(self, principal: Principal, tool: str) -> None:
        rate = self._per_minute.get(principal.tier, self._per_minute[Tier.TIER_FREE])
        user = principal.subject or principal.key_id
        verdict = await self._limiter.take(f"tool:{{{principal.tenant}}}:{tool}:{user}", rate, rate)
        if not verdict.allowed:
            raise MalhaError(
                ErrorReason.ERROR_REASON_RATE_LIMITED,
                f"{tool} was called more than {rate} times in a minute",
                metadata={"limit": str(rate), "scope": f"tool:{tool}"},
                retry_after=verdict.retry_after,
            )
