"""The stream EVENTS, read in order for whoever delivers: places and types alone, bodies one by one.

One consumer by the gateway's name, since one gateway reads at a time; whoever begins makes it anew at the
place it was told, so nothing depends on what the broker remembers of it. The reader says how much it takes.
"""

from __future__ import annotations

import asyncio
import contextlib
from base64 import b64decode
from collections.abc import AsyncIterator
from typing import Any

import nats.errors
import nats.js.errors
import orjson
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from malha import errors
from malha.run.nats_journal import EVENTS, Connection
from malha_gateway.webhook_endpoint import Heard

_CONSUMER = "gateway"
_BATCH = 256
_EXPIRES = 5.0
_SILENCE = _EXPIRES + 3.0
_SECONDS = 5.0
_NO_MESSAGE = 10037
_AWAY = (nats.errors.Error, TimeoutError, OSError)


class NatsEventFeed:
    """`malha_gateway.ports.EventFeed` on NATS."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def last(self) -> int:
        try:
            return (await self._connection.js.stream_info(EVENTS)).state.last_seq
        except _AWAY as error:
            raise errors.unavailable("nats") from error

    async def event(self, tenant: str, sequence: int) -> bytes | None:
        question = orjson.dumps({"seq": sequence})
        try:
            reply = await self._connection.request(
                f"$JS.API.STREAM.MSG.GET.{EVENTS}", question, timeout=_SECONDS
            )
        except _AWAY as error:
            raise errors.unavailable("nats") from error
        answer: dict[str, Any] = orjson.loads(reply.data)
        if "message" in answer:
            message = answer["message"]
            owner, _ = _what(message["subject"])
            return b64decode(message.get("data", "")) if owner == tenant else None
        if answer["error"].get("err_code") == _NO_MESSAGE:
            return None
        raise errors.unavailable("nats")

    @contextlib.asynccontextmanager
    async def after(self, sequence: int) -> AsyncIterator[AsyncIterator[list[Heard]]]:
        reader = _Reader(self._connection)
        try:
            await reader.open(sequence + 1)
            yield reader.batches()
        except _AWAY as error:
            raise errors.unavailable("nats") from error
        finally:
            await reader.close()


class _Reader:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._inbox = connection.nc.new_inbox()
        self._arrived: list[Heard] = []
        self._something = asyncio.Event()
        self._credits = 0
        self._delivered = 0
        self._broken = False

    async def open(self, start: int) -> None:
        self._unhear = self._connection.on_reconnect(self._break)
        self._subscription = await self._connection.nc.subscribe(self._inbox, cb=self._on_message)
        with contextlib.suppress(nats.js.errors.NotFoundError):
            await self._connection.js.delete_consumer(EVENTS, _CONSUMER)
        await self._connection.js.add_consumer(
            EVENTS,
            ConsumerConfig(
                name=_CONSUMER,
                ack_policy=AckPolicy.NONE,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=max(1, start),
                inactive_threshold=60.0,
                headers_only=True,
                mem_storage=True,
                num_replicas=1,
            ),
        )

    async def batches(self) -> AsyncIterator[list[Heard]]:
        while True:
            await self._ask()
            self._something.clear()
            if not self._arrived and not self._broken:
                try:
                    async with asyncio.timeout(_SILENCE):
                        await self._something.wait()
                except TimeoutError:
                    self._broken = True
            if self._broken:
                raise errors.unavailable("nats")
            if self._arrived:
                batch, self._arrived = self._arrived, []
                yield batch

    async def close(self) -> None:
        self._unhear()
        with contextlib.suppress(*_AWAY, AttributeError):  # it may not have been opened
            await self._subscription.unsubscribe()

    async def _ask(self) -> None:
        """Keep one request open; the next is sent when it is used up or over."""
        if self._credits > 0:
            return
        self._credits = _BATCH
        await self._connection.nc.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS}.{_CONSUMER}",
            orjson.dumps({"batch": _BATCH, "expires": int(_EXPIRES * 1e9)}),
            reply=self._inbox,
        )

    async def _on_message(self, message: Msg) -> None:
        if not message.reply:
            self._credits = 0
            if (message.headers or {}).get("Status", "") not in ("404", "408", "409"):
                self._broken = True
        else:
            self._credits -= 1
            self._delivered += 1
            metadata = message.metadata
            if metadata.sequence.consumer != self._delivered:
                self._broken = True  # a gap: what was under way when the connection broke is gone
            else:
                self._arrived.append(Heard(metadata.sequence.stream, *_what(message.subject)))
        self._something.set()

    def _break(self) -> None:
        self._broken = True
        self._something.set()


def _what(subject: str) -> tuple[str, str]:
    """Whose event it is, and of which type."""
    _, _, tenant, event_type = subject.split(".", 3)
    return tenant, event_type
