"""The stream RUNS read in order by one pull consumer with credits.

Not an ordered push consumer: unsubscribing one leaves it on the server, and a slow reader is dropped
silently. Here the reader says how much it takes, and the consumer is deleted on the way out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import nats.errors
import orjson
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from malha import errors
from malha.run import Entry
from malha.run.nats_journal import RUNS, Connection, entry_of

_BATCH = 256
_BYTES = 8 * 1024 * 1024
_EXPIRES = 5.0
_SILENCE = _EXPIRES + 3.0


class NatsRecordFeed:
    """`malha_planner.ports.RecordFeed` on NATS."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def last(self) -> int:
        try:
            info = await self._connection.js.stream_info(RUNS)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise errors.unavailable("nats") from error
        return info.state.last_seq

    @contextlib.asynccontextmanager
    async def after(self, sequence: int) -> AsyncIterator[AsyncIterator[list[Entry]]]:
        reader = _Reader(self._connection)
        try:
            await reader.open(sequence + 1)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise errors.unavailable("nats") from error
        try:
            yield reader.batches()
        finally:
            await reader.close()


class _Reader:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._inbox = connection.nc.new_inbox()
        self._arrived: list[Entry] = []
        self._something = asyncio.Event()
        self._credits = 0
        self._delivered = 0
        self._broken = False

    async def open(self, start: int) -> None:
        self._subscription = await self._connection.nc.subscribe(self._inbox, cb=self._on_message)
        try:
            info = await self._connection.js.add_consumer(
                RUNS,
                ConsumerConfig(
                    ack_policy=AckPolicy.NONE,
                    deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                    opt_start_seq=max(1, start),
                    inactive_threshold=60.0,
                    mem_storage=True,
                    num_replicas=1,
                ),
            )
        except BaseException:  # cancelled, too: nobody closes what was not opened
            with contextlib.suppress(nats.errors.Error):
                await self._subscription.unsubscribe()
            raise
        self._consumer = info.name
        self._unhear = self._connection.on_reconnect(self._break)

    async def batches(self) -> AsyncIterator[list[Entry]]:
        while True:
            await self._ask()
            self._something.clear()
            if not (self._arrived or self._broken):
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
        with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
            await self._subscription.unsubscribe()
            await self._connection.js.delete_consumer(RUNS, self._consumer)

    async def _ask(self) -> None:
        """Keep one request open; the next is sent when it is used up or over."""
        if self._credits > 0:
            return
        self._credits = _BATCH
        request = {"batch": _BATCH, "max_bytes": _BYTES, "expires": int(_EXPIRES * 1e9)}
        try:
            await self._connection.nc.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{RUNS}.{self._consumer}",
                orjson.dumps(request),
                reply=self._inbox,
            )
        except nats.errors.Error as error:
            raise errors.unavailable("nats") from error

    async def _on_message(self, message: Msg) -> None:
        if not message.reply:
            status = (message.headers or {}).get("Status", "")
            # 404 and 408: the request is over; 409 with room left: it was too large for what remained
            self._credits = 0
            if status not in ("404", "408", "409"):
                self._broken = True
        else:
            self._credits -= 1
            self._delivered += 1
            if int(message.reply.split(".")[-3]) != self._delivered:
                self._broken = True  # a gap: what was under way when the connection broke is gone
            else:
                self._arrived.append(entry_of(message))
        self._something.set()

    def _break(self) -> None:
        self._broken = True
        self._something.set()
