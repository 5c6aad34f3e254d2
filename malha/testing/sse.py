"""Server-sent events as a reader of the standard parses them (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import NamedTuple

import aiohttp


class ServerSentEvent(NamedTuple):
    """One event as it was sent."""

    id: str
    kind: str
    data: str


async def events(
    session: aiohttp.ClientSession, run_id: str, *, after: str = "", deltas: bool = False
) -> AsyncGenerator[ServerSentEvent, None]:
    """A run's events from the edge, after the event with the id ``after``, until the stream ends.

    Closing the iterator cuts the connection. Raises aiohttp.ClientResponseError for a refusal.
    """
    headers = {"last-event-id": after} if after else {}
    path = f"/v1/runs/{run_id}/events" + ("?deltas=true" if deltas else "")
    async with session.get(path, headers=headers) as response:
        response.raise_for_status()
        assert response.content_type == "text/event-stream", response.content_type
        fields: dict[str, str] = {}
        async for raw in response.content:
            line = raw.decode().rstrip("\n")
            name, _, value = line.partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
            elif fields.get("data"):
                yield ServerSentEvent(fields.get("id", ""), fields.get("event", ""), fields["data"])
                fields = {}
            elif not line:
                fields = {}
