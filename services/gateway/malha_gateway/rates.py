"""How often a key and its tenant may call, by tier.

A key has its tier's rate; a tenant has a few times that, so that one wild key leaves room for the
others and making keys does not make rate. Both are asked in one step: a refused call uses up neither.
"""

from __future__ import annotations

from collections.abc import Mapping

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.errors import ErrorReason, MalhaError
from malha.limits.rate_limiter import Limit, RateLimiter


class Rates:
    """Counts calls against the limits of their principal.

    Args:
        per_minute: requests a minute of one key, by tier; TIER_FREE must be there.
        tenant_factor: a tenant's rate as a multiple of its keys'.
    """

    def __init__(
        self, limiter: RateLimiter, per_minute: Mapping[Tier, float], *, tenant_factor: float
    ) -> None:
        self._limiter = limiter
        self._per_minute = per_minute
        self._tenant_factor = tenant_factor

    async def count(self, principal: Principal) -> None:
        """Count one call.

        Raises:
            MalhaError: RATE_LIMITED, with the time to come back.
        """
        rate = self._per_minute.get(principal.tier, self._per_minute[Tier.TIER_FREE])
        of_tenant = rate * self._tenant_factor
        # the braces keep a tenant's keys on one node of a cluster, where one script can see both
        tenant = f"gateway:{{{principal.tenant}}}"
        limits = (
            Limit(f"{tenant}:key:{principal.key_id}", rate, max(1, int(rate))),
            Limit(f"{tenant}:tenant", of_tenant, max(1, int(of_tenant))),
        )
        verdict = await self._limiter.take_all(limits)
        if verdict.allowed:
            return
        scope = "key" if verdict.limit == limits[0] else "tenant"
        allowed = limits[0] if scope == "key" else limits[1]
        raise MalhaError(
            ErrorReason.ERROR_REASON_RATE_LIMITED,
            f"more than {allowed.rate_per_minute:g} requests a minute for this {scope}",
            metadata={"limit": f"{allowed.rate_per_minute:g}/min", "scope": scope},
            retry_after=verdict.retry_after,
        )
