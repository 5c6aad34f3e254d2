"""Webhooks: where a tenant wants its events delivered, registered by its administrators."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from weakref import WeakValueDictionary

import orjson

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.gateway.v1.webhook_service_pb2 import CreateWebhookRequest, Webhook
from malha.clock import Clock
from malha.errors import ErrorReason, MalhaError, invalid
from malha.ids import ulid
from malha.webhooks import new_secret
from malha_gateway.ports import EventFeed, WebhookStore
from malha_gateway.sending import Sending
from malha_gateway.webhook_address import Reach
from malha_gateway.webhook_endpoint import Endpoint, Outcome

_MOST = 16
"""Of a tenant."""


class Webhooks:
    """Makes, lists, tries and removes endpoints of the caller's tenant.

    Args:
        made: told of a new endpoint, so that its deliveries begin at once.
    """

    def __init__(
        self,
        store: WebhookStore,
        feed: EventFeed,
        sending: Sending,
        reach: Reach,
        clock: Clock,
        *,
        made: Callable[[], None],
    ) -> None:
        self._store = store
        self._feed = feed
        self._sending = sending
        self._reach = reach
        self._clock = clock
        self._made = made
        self._trying: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """By tenant: its tests are made one after the other."""

    async def create(self, admin: Principal, asked: CreateWebhookRequest) -> tuple[Webhook, str]:
        """A new endpoint, and its secret, which is told this once.

        Raises:
            MalhaError: FIELD_INVALID for a URL that webhooks may not reach, or one too many.
        """
        self._reach.check(asked.url)
        webhook = Webhook(webhook_id=ulid().lower(), url=asked.url, event_types=asked.event_types)
        webhook.create_time.FromDatetime(self._clock.now())
        secret = new_secret()
        sealed = await self._sending.seal(admin.tenant, webhook.webhook_id, secret)
        endpoint = Endpoint(admin.tenant, webhook, sealed)
        if not await self._store.add(endpoint, after=await self._feed.last(), most=_MOST):
            raise invalid("url", f"the tenant has {_MOST} webhooks already; remove one first")
        self._made()
        return webhook, secret

    async def list(self, admin: Principal) -> Sequence[Webhook]:
        """The tenant's, the oldest first."""
        return await self._store.of(admin.tenant)

    async def delete(self, admin: Principal, webhook_id: str) -> None:
        """Remove one, and what was still to be delivered there. Raises WEBHOOK_NOT_FOUND."""
        if not await self._store.remove(admin.tenant, webhook_id):
            raise _not_found()

    async def test(self, admin: Principal, webhook_id: str) -> Outcome:
        """Deliver an event of the type ``webhook.test`` once; a success enables the endpoint again.

        Raises WEBHOOK_NOT_FOUND.
        """
        endpoint = await self._store.find(webhook_id)
        if endpoint is None or endpoint.tenant != admin.tenant:
            raise _not_found()
        now = self._clock.now()
        event = {
            "specversion": "1.0",
            "id": ulid(),
            "source": "/malha/gateway",
            "type": "malha.webhook.test",
            "subject": webhook_id,
            "time": now,
            "datacontenttype": "application/json",
            "data": {"tenant": admin.tenant, "webhook_id": webhook_id},
        }
        body = orjson.dumps(event, option=orjson.OPT_UTC_Z)
        turn = self._trying.setdefault(admin.tenant, asyncio.Lock())
        async with turn:
            outcome = await self._sending.send(endpoint, str(event["id"]), body)
        await self._store.tested(webhook_id, outcome)
        if outcome.delivered:
            self._made()
        return outcome


def _not_found() -> MalhaError:
    return MalhaError(ErrorReason.ERROR_REASON_WEBHOOK_NOT_FOUND, "there is no such webhook")
