"""Where events are delivered."""

from __future__ import annotations

from malha.api.gateway.v1 import webhook_service_pb2 as webhooks_pb
from malha.api.gateway.v1.webhook_service_pb2_grpc import WebhookServiceServicer
from malha_gateway.places import Places
from malha_gateway.servicer.calls import Context, allowed
from malha_gateway.webhooks import Webhooks


class WebhookServicer(WebhookServiceServicer):
    """Where events are delivered. Scope "admin"."""

    def __init__(self, webhooks: Webhooks, places: Places) -> None:
        self._webhooks = webhooks
        self._places = places

    async def CreateWebhook(
        self, request: webhooks_pb.CreateWebhookRequest, _context: Context
    ) -> webhooks_pb.CreateWebhookResponse:
        webhook, secret = await self._webhooks.create(allowed("admin"), request)
        return webhooks_pb.CreateWebhookResponse(webhook=webhook, secret=secret)

    async def ListWebhooks(
        self, _request: webhooks_pb.ListWebhooksRequest, _context: Context
    ) -> webhooks_pb.ListWebhooksResponse:
        return webhooks_pb.ListWebhooksResponse(webhooks=await self._webhooks.list(allowed("admin")))

    async def DeleteWebhook(
        self, request: webhooks_pb.DeleteWebhookRequest, _context: Context
    ) -> webhooks_pb.DeleteWebhookResponse:
        await self._webhooks.delete(allowed("admin"), request.webhook_id)
        return webhooks_pb.DeleteWebhookResponse()

    async def TestWebhook(
        self, request: webhooks_pb.TestWebhookRequest, _context: Context
    ) -> webhooks_pb.TestWebhookResponse:
        admin = allowed("admin")
        with self._places.taken(admin.tenant):
            outcome = await self._webhooks.test(admin, request.webhook_id)
        return webhooks_pb.TestWebhookResponse(delivered=outcome.delivered, outcome=outcome.text)
