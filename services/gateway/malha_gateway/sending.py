"""One attempt at one delivery: signed, posted once, and told how it went."""

from __future__ import annotations

from collections.abc import Callable

from malha.api.run.v1.record_pb2 import Content, Sealed
from malha.clock import Clock
from malha.run import Sealer, UnsealableError
from malha.webhooks import signed
from malha_gateway.ports import Sender
from malha_gateway.webhook_endpoint import Endpoint, Outcome

_KIND = "webhook"
_GONE = 410


class Sending:
    """Posts events to endpoints.

    Args:
        sealer: secrets are sealed under the tenant's data key, so that what erases the tenant erases them.
        open_sender: makes what posts, once there is something to post: an HTTP client costs memory.
    """

    def __init__(self, sealer: Sealer, open_sender: Callable[[], Sender], clock: Clock) -> None:
        self._sealer = sealer
        self._open_sender = open_sender
        self._clock = clock
        self._sender: Sender | None = None

    async def seal(self, tenant: str, webhook_id: str, secret: str) -> Sealed:
        """A secret as it may be kept."""
        return await self._sealer.seal(tenant, webhook_id, _KIND, Content(text=secret))

    async def send(self, endpoint: Endpoint, event_id: str, body: bytes) -> Outcome:
        """Post an event; never raises for what the receiver does."""
        webhook = endpoint.webhook
        try:
            secret = await self._sealer.open(endpoint.tenant, webhook.webhook_id, _KIND, endpoint.secret)
        except UnsealableError:
            return Outcome("its secret was erased", delivered=False, over=True)
        headers = signed(secret.text, event_id, body, now=int(self._clock.now().timestamp()))
        if self._sender is None:
            self._sender = self._open_sender()
        status, failure = await self._sender.post(webhook.url, headers, body)
        if failure:
            return Outcome(failure, delivered=False)
        return Outcome(f"HTTP {status}", delivered=200 <= status < 300, over=status == _GONE)

    async def close(self) -> None:
        """Let go of connections."""
        if self._sender is not None:
            await self._sender.close()
