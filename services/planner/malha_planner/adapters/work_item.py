"""One delivery of a hint from the stream WORK: whose run it is, and what its worker may answer."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

import nats.errors
import orjson
from nats.aio.msg import Msg

from malha import errors
from malha.run.nats_journal import WORK, Connection
from malha_planner.lanes import Lane
from malha_planner.waiting_room import WaitingRoom

ACCEPTED = "Malha-Accepted"
_ANSWER_SECONDS = 2.0
_NO_MESSAGE = 10037


class NatsItem:
    """`malha_planner.ports.WorkItem`: one delivery of a hint."""

    def __init__(self, connection: Connection, message: Msg, lane: Lane, waiting: WaitingRoom) -> None:
        # $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>
        fields = message.reply.split(".")
        self.lane = lane
        self.tenant = lane.tenant
        self.run_id = message.data.decode()
        self.item = int(fields[-4])
        self.delivery = int(fields[-5])
        self.time = datetime.fromtimestamp(int(fields[-2]) / 1e9, UTC)
        self.accepted = int((message.headers or {}).get(ACCEPTED, 0))
        self.more = int(fields[-1])
        """Hints in the lane that were not delivered yet, by then."""
        self._connection = connection
        self._reply = message.reply
        self._waiting = waiting

    async def ack(self) -> None:
        await self._send(b"+ACK")

    async def in_progress(self) -> None:
        await self._send(b"+WPI")

    async def give_back(self) -> None:
        await self._send(b"-NAK")

    def resting(self) -> AbstractAsyncContextManager[None]:
        return self._waiting.out(self.lane)

    async def queued(self, item: int) -> bool:
        try:
            answer = await self._connection.request(
                f"$JS.API.STREAM.MSG.GET.{WORK}", orjson.dumps({"seq": item}), timeout=_ANSWER_SECONDS
            )
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise errors.unavailable("nats") from error
        body = orjson.loads(answer.data)
        if "message" in body:
            return True
        if body.get("error", {}).get("err_code") == _NO_MESSAGE:
            return False
        raise errors.unavailable("nats")

    async def _send(self, word: bytes) -> None:
        try:
            await self._connection.nc.publish(self._reply, word)
        except (nats.errors.Error, OSError) as error:
            raise errors.unavailable("nats") from error
