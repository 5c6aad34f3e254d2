"""A run's stream, for as long as the key that opened it opens anything.

A stream may last for days and a key end meanwhile. So the key is looked at again before each event, as it is
before each call; it is believed for as long there, so a busy stream costs a dictionary look-up an event.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing

from malha.api.gateway.v1.run_pb2 import RunEvent
from malha.run import StreamPosition
from malha.wire import current
from malha_gateway.following import Following
from malha_gateway.places import Places
from malha_gateway.servicer.calls import allowed

Admit = Callable[[Mapping[str, str]], Awaitable[object]]


class Streams:
    """Opens streams. Scope "runs".

    Args:
        places: how many a tenant may have.
        admit: refuses metadata whose key opens nothing (any more).
        heartbeat: seconds of silence after which a stream yields None.
    """

    def __init__(self, following: Following, places: Places, admit: Admit, *, heartbeat: float) -> None:
        self._following = following
        self._places = places
        self._admit = admit
        self._heartbeat = heartbeat

    async def open(
        self, run_id: str, after: StreamPosition, *, deltas: bool
    ) -> AsyncGenerator[RunEvent | None, None]:
        """The current caller's stream of a run.

        Raises:
            MalhaError: as ``Following.follow``; CREDENTIAL_INVALID; RATE_LIMITED.
        """
        tenant = allowed("runs").tenant
        follow = self._following.follow(tenant, run_id, after, idle=self._heartbeat, deltas=deltas)
        with self._places.taken(tenant):
            async with aclosing(follow) as events:
                async for event in events:
                    await self._admit(current().metadata)
                    yield event
