"""Deltas over core NATS: sent to whoever listens at the moment, kept nowhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import nats.errors
from google.protobuf.message import DecodeError
from nats.aio.msg import Msg

from malha.api.run.v1.delta_pb2 import Delta
from malha.run.keys import delta_subject
from malha.run.nats_journal.connection import Connection
from malha.telemetry import metrics

_KEPT = 256
"""Deltas that wait for a listener; older ones are dropped, and the next whole text makes up for them."""
_KEPT_BYTES = 4 * 1024 * 1024
_SECONDS = 1.0


class NatsDeltas:
    """Tells deltas, and listens to those of a run."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def publish(self, delta: Delta) -> None:
        """Tell it to those who listen. Never raises: where the broker is away, it is dropped and counted."""
        told = False
        if self._connection.connected:  # else it would be kept, in front of what matters
            with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
                async with asyncio.timeout(_SECONDS):
                    subject = delta_subject(delta.tenant, delta.run_id)
                    await self._connection.nc.publish(subject, delta.SerializeToString())
                    told = True
        metrics.DELTAS.labels("told" if told else "dropped").inc()

    @contextlib.asynccontextmanager
    async def listen(self, tenant: str, run_id: str) -> AsyncIterator[AsyncIterator[Delta]]:
        """The run's deltas from now on, without end; in order, and with gaps where they come too fast."""
        heard: asyncio.Queue[Delta] = asyncio.Queue(_KEPT)

        async def hear(message: Msg) -> None:
            with contextlib.suppress(DecodeError):
                if heard.full():
                    heard.get_nowait()
                heard.put_nowait(Delta.FromString(message.data))

        subscription = await self._connection.nc.subscribe(
            delta_subject(tenant, run_id),
            cb=hear,
            pending_msgs_limit=_KEPT,
            pending_bytes_limit=_KEPT_BYTES,
        )
        try:
            yield _endless(heard)
        finally:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()


async def _endless(heard: asyncio.Queue[Delta]) -> AsyncIterator[Delta]:
    while True:
        yield await heard.get()
