"""What webhooks need: the events, where they are to go, and the way there.

Every method but the sender's raises MalhaError when its party is away.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from malha.api.gateway.v1.webhook_service_pb2 import Webhook
from malha_gateway.webhook_endpoint import Due, Endpoint, Heard, Outcome


class EventFeed(Protocol):
    """Announced events, in the order they were stored."""

    def after(self, sequence: int) -> AbstractAsyncContextManager[AsyncIterator[list[Heard]]]:
        """Batches of events after a sequence, as they come, without end.

        Iterating raises MalhaError DEPENDENCY_UNAVAILABLE where the feed broke: open it anew.
        """
        ...

    async def last(self) -> int:
        """The sequence of the last event; 0 for none."""
        ...

    async def event(self, tenant: str, sequence: int) -> bytes | None:
        """The tenant's CloudEvent at a place; None where it was erased, or is kept no more.

        In a stream that was made anew another tenant's event may stand there.
        """
        ...


class Sender(Protocol):
    """Posts to the world outside."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        """(HTTP status, ""), or (0, why there is none). Follows nothing, and raises nothing."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class WebhookStore(Protocol):
    """Keeps webhooks, and what is still to be delivered."""

    async def add(self, endpoint: Endpoint, *, after: int, most: int) -> bool:
        """Keep an endpoint that gets events after a sequence; False where the tenant has ``most``."""
        ...

    async def of(self, tenant: str) -> Sequence[Webhook]:
        """A tenant's, the oldest first, with how they are doing."""
        ...

    async def find(self, webhook_id: str) -> Endpoint | None:
        """The endpoint of that id, of any tenant."""
        ...

    async def remove(self, tenant: str, webhook_id: str) -> bool:
        """Forget an endpoint and its deliveries; whether there was one."""
        ...

    async def tested(self, webhook_id: str, outcome: Outcome) -> None:
        """How a test went; a success ends failing and being disabled."""
        ...

    async def hold(self, holder: str, now: datetime, until: datetime) -> int | None:
        """Be the one who reads and delivers, or go on being it: how far was read.

        None where another one is, or where there is no endpoint.
        """
        ...

    async def let_go(self, holder: str) -> None:
        """Be it no more."""
        ...

    async def fan_out(
        self, holder: str, heard: Sequence[Heard], *, before: int, now: datetime, most: int
    ) -> int | None:
        """Keep what is to be delivered where, and how far that goes: in one transaction.

        Args:
            before: how far was read before; another one may have gone on from there.
            most: deliveries that may wait at an endpoint; further ones are dropped.

        Returns:
            How many were dropped; None, and nothing is kept, where it is another one's to do.
        """
        ...

    async def ready(self, now: datetime) -> Sequence[Endpoint]:
        """Endpoints that may be posted to and have something due."""
        ...

    async def due(self, webhook_id: str, now: datetime, *, limit: int) -> Sequence[Due]:
        """What is due there, the longest due first."""
        ...

    async def delivered(self, due: Due, outcome: Outcome) -> None:
        """It is; the endpoint fails no more."""
        ...

    async def dropped(self, due: Due) -> None:
        """It will not be delivered: the event is gone, or it was tried for too long."""
        ...

    async def failed(
        self, due: Due, outcome: Outcome, now: datetime, *, again: datetime, rest: datetime
    ) -> datetime:
        """Try it again, and not before; and let the endpoint rest until then. Since when it fails."""
        ...

    async def disable(self, webhook_id: str, reason: str) -> None:
        """Post nothing there any more."""
        ...
