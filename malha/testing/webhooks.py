"""Webhooks of a gateway as an administrator has them, and whoever announces what they are told of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc.aio
import orjson

from malha.api.gateway.v1 import admin_service_pb2 as admin_pb
from malha.api.gateway.v1 import webhook_service_pb2 as pb
from malha.api.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from malha.api.gateway.v1.webhook_service_pb2_grpc import WebhookServiceStub
from malha.ids import ulid
from malha.run.nats_journal import Connection, event_subject
from malha.testing.mesh import bearer
from malha.testing.receivers import Receiver
from malha.wire import codec

Gateway = Callable[..., AbstractAsyncContextManager[int]]
"""Starts a gateway of these settings for the length of a block; its port."""


class Hooks:
    """An administrator's calls; what is refused raises as MalhaError."""

    def __init__(self, port: int, api_key: str) -> None:
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self._stub = WebhookServiceStub(self._channel)
        self._admin = AdminServiceStub(self._channel)
        self._key = api_key

    async def _said(self, call: Any, request: Any) -> Any:
        try:
            return await call(request, metadata=bearer(self._key), timeout=20)
        except grpc.aio.AioRpcError as error:
            raise codec.from_rpc(error, "gateway") from None

    async def add(self, receiver: Receiver, *types: str, url: str = "") -> str:
        """A webhook to the receiver, which learns its secret; its id."""
        asked = pb.CreateWebhookRequest(url=url or receiver.url, event_types=types)
        made = await self._said(self._stub.CreateWebhook, asked)
        receiver.secret = made.secret
        return str(made.webhook.webhook_id)

    async def list(self) -> Sequence[pb.Webhook]:
        """The tenant's webhooks."""
        return (await self._said(self._stub.ListWebhooks, pb.ListWebhooksRequest())).webhooks  # type: ignore[no-any-return]  # the stub's answer

    async def remove(self, webhook_id: str) -> None:
        """Delete it."""
        await self._said(self._stub.DeleteWebhook, pb.DeleteWebhookRequest(webhook_id=webhook_id))

    async def test(self, webhook_id: str) -> tuple[bool, str]:
        """Whether a test arrives, and what came of it."""
        answer = await self._said(self._stub.TestWebhook, pb.TestWebhookRequest(webhook_id=webhook_id))
        return answer.delivered, answer.outcome

    async def key_of(self, tenant: str, *scopes: str) -> str:
        """A new key of a tenant."""
        asked = admin_pb.CreateApiKeyRequest(tenant=tenant, subject="t", scopes=scopes)
        return str((await self._said(self._admin.CreateApiKey, asked)).api_key)

    async def until(self, webhook_id: str, true: Callable[[pb.Webhook], bool]) -> pb.Webhook:
        """Return once it is true of the webhook."""
        async with asyncio.timeout(20):
            while True:
                for webhook in await self.list():
                    if webhook.webhook_id == webhook_id and true(webhook):
                        return webhook
                await asyncio.sleep(0.05)


async def announce(
    planner: Connection, event_type: str = "run.finished", *, tenant: str = "dev", count: int = 1
) -> list[str]:
    """Announce events; their ids."""
    ids = [ulid() for _ in range(count)]
    for event_id in ids:
        body = orjson.dumps({"id": event_id, "type": f"malha.{event_type}", "data": {"tenant": tenant}})
        await planner.js.publish(event_subject(tenant, event_type), body)
    return ids
