"""Tests of webhooks, which are also what enables one again that was disabled."""

from __future__ import annotations

import asyncio
from typing import cast

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.gateway.v1.webhook_service_pb2 import Webhook
from malha.api.run.v1.record_pb2 import Sealed
from malha.tasks import end
from malha.testing.clock import FakeClock
from malha_gateway.ports import EventFeed, WebhookStore
from malha_gateway.sending import Sending
from malha_gateway.webhook_address import Reach
from malha_gateway.webhook_endpoint import Endpoint, Outcome
from malha_gateway.webhooks import Webhooks


class Hooks:
    """Every tenant has one, called like the tenant."""

    async def find(self, webhook_id: str) -> Endpoint:
        return Endpoint(webhook_id, Webhook(webhook_id=webhook_id), Sealed())

    async def tested(self, _webhook_id: str, _outcome: Outcome) -> None:
        pass


class Receivers:
    """That of "slow" does not answer."""

    def __init__(self) -> None:
        self.asked = 0

    async def send(self, endpoint: Endpoint, _event_id: str, _body: bytes) -> Outcome:
        if endpoint.tenant == "slow":
            self.asked += 1
            await asyncio.Event().wait()
        return Outcome("HTTP 200", delivered=True)


async def test_a_tenant_whose_tests_take_long_keeps_nobody_else_from_testing() -> None:
    receivers = Receivers()
    webhooks = Webhooks(
        *(cast(WebhookStore, Hooks()), cast(EventFeed, None), cast(Sending, receivers), Reach()),
        FakeClock(),
        made=lambda: None,
    )
    slow = [asyncio.create_task(webhooks.test(Principal(tenant="slow"), "slow")) for _ in range(100)]
    quick = asyncio.create_task(webhooks.test(Principal(tenant="ana"), "ana"))
    try:
        async with asyncio.timeout(10):
            assert (await quick).delivered
        assert receivers.asked == 1, "one after the other"
    finally:
        await end(*slow, quick)
