"""Whose money pays for which tier.

A tenant that somebody pays for has the tier of its subscriptions, in place of what its keys were made with;
this is the one place where that is decided. Every gateway reads it with the key, and believes a key for a
moment; so a change is acknowledged after that moment, when it holds everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from malha.api.common.v1.principal_pb2 import Tier
from malha.api.gateway.v1.tenant_service_pb2 import Tenant
from malha.clock import Clock
from malha.errors import ErrorReason, MalhaError
from malha.telemetry import metrics
from malha.telemetry.logs import log
from malha_gateway import stripe
from malha_gateway.ports import Payer, TenantStore
from malha_gateway.subscriptions import Event, Paid, paid

_MOST_BYTES = 1 << 20
"""Stripe's events have some kilobytes; whoever signs nothing is not listened to for long."""
_READING_SECONDS = 0.5
"""How long a look at a key that began before the change may take."""


class Billing:
    """Moves tenants between tiers.

    Args:
        secrets: of Stripe's webhooks; none where Stripe is not set up. More than one while one is replaced.
        tiers: by price id or lookup key.
        grace: how long after a failed payment what was paid before is still given.
        memory_seconds: how long a gateway may believe a key.
    """

    def __init__(
        self,
        store: TenantStore,
        clock: Clock,
        *,
        secrets: Sequence[str],
        tiers: Mapping[str, Tier],
        grace: timedelta,
        memory_seconds: float,
    ) -> None:
        self._store = store
        self._clock = clock
        self._secrets = secrets
        self._tiers = tiers
        self._grace = grace
        self._memory_seconds = memory_seconds

    async def receive(self, body: bytes, signature: str) -> str:
        """Take a webhook of Stripe; what became of it, as the contract says.

        Raises:
            MalhaError: ROUTE_NOT_FOUND where Stripe is not set up; FIELD_INVALID of the signature;
                REQUEST_TOO_LARGE.
        """
        if not self._secrets:
            raise MalhaError(
                ErrorReason.ERROR_REASON_ROUTE_NOT_FOUND, "there is no such path: no billing is set up"
            )
        if len(body) > _MOST_BYTES:
            raise MalhaError(ErrorReason.ERROR_REASON_REQUEST_TOO_LARGE, "the event is larger than 1 MiB")
        stripe.verify(body, signature, self._secrets, self._clock.now())
        outcome = await self._taken(body)
        metrics.GATEWAY_BILLING_EVENTS.labels(outcome).inc()
        return outcome

    async def tenant(self, tenant: str) -> Tenant:
        """A tenant as it stands."""
        return self._shown(tenant, await self._store.payer(tenant))

    async def link(self, tenant: str, customer: str) -> Tenant:
        """Say who pays for a tenant; an empty customer is nobody."""
        before = await self._store.payer(tenant)
        now = await self._store.link(tenant, customer, self._paid)
        await self._everywhere(before.paid != now.paid)
        log.info("tenant_linked", tenant=tenant, tier=Tier.Name(now.paid.tier))
        return self._shown(tenant, now)

    async def _taken(self, body: bytes) -> str:
        try:
            event = stripe.read(body)
        except ValueError as error:
            log.error("billing_event_not_understood", error=str(error))
            return "ignored"
        if event is None:
            return "ignored"
        if event.prices and not self._tiers.keys() & event.prices:
            log.error("billing_price_without_a_tier", prices=event.prices, billing_event=event.event_id)
        taken = await self._store.take(event, self._paid)
        if taken.changed:
            log.info("tier_changed", tenant=taken.tenant, tier=Tier.Name(taken.paid.tier))
        await self._everywhere(taken.changed)
        if taken.repeated:
            return "repeated"
        if event.tenant and taken.tenant != event.tenant:
            # only an operator moves a customer from one tenant to another
            log.error("billing_customer_of_another_tenant", tenant=event.tenant, billing_event=event.event_id)
        return "applied" if taken.tenant else "unlinked"

    async def _everywhere(self, changed: bool) -> None:
        if changed:
            await self._clock.sleep(self._memory_seconds + _READING_SECONDS)

    def _paid(self, events: Sequence[Event]) -> Paid:
        return paid(events, self._tiers, self._grace)

    def _shown(self, tenant: str, payer: Payer) -> Tenant:
        now = self._clock.now()
        shown = Tenant(tenant=tenant, tier=payer.paid.at(now), stripe_customer=payer.customer)
        if payer.paid.lapses_at:
            shown.lapse_time.FromDatetime(payer.paid.lapses_at)
        return shown
