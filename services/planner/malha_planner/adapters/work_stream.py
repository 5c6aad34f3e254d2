"""The stream WORK: hints go in once each, and come out lane by lane.

Pulling: many concurrent fetches on one subscription of nats-py decay to one outstanding pull and never
recover, so there is one inbox for all lanes and one request for each free slot. A plain subscription
on the subjects rings when a hint is stored; each ring asks its lane for one. Once slots are short, the
lanes that may have work are asked in turn, without waiting. A sweep each second finds what no ring
announced: hints whose lease is over, or that were stored while nobody listened.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import nats.errors
import orjson
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from malha import errors
from malha.errors import MalhaError
from malha.run.nats_journal import WORK, WORK_SUBJECTS, Connection, work_subject
from malha.telemetry import metrics
from malha.telemetry.logs import log
from malha_planner.adapters.pipeline import Outgoing, Pipeline
from malha_planner.lanes import Lane, Lanes
from malha_planner.ports import Hint, WorkItem
from malha_planner.tasks import end

_MESSAGE_ID = "Nats-Msg-Id"
_ASK_SECONDS = 2.0
_SWEEP_SECONDS = 1.0
_NO_MESSAGE = 10037
_WAIT = orjson.dumps({"batch": 1, "expires": int(_ASK_SECONDS * 1e9)})
_NO_WAIT = orjson.dumps({"batch": 1, "no_wait": True})

Handler = Callable[[WorkItem], Awaitable[None]]


class NatsWaker:
    """`malha_planner.ports.Waker` on NATS."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def wake(self, hints: Sequence[Hint]) -> None:
        outgoing = [
            Outgoing(
                work_subject(hint.work_class, hint.tenant), hint.run_id.encode(), {_MESSAGE_ID: hint.name}
            )
            for hint in hints
        ]
        for answer in await self._pipeline.publish(outgoing):
            if "error" in answer:
                raise errors.unavailable("nats")

    async def now(self) -> datetime:
        nc = self._pipeline.connection.nc
        try:
            answer = await nc.request(f"$JS.API.STREAM.INFO.{WORK}", timeout=_ASK_SECONDS)
            return datetime.fromisoformat(orjson.loads(answer.data)["ts"])
        except (nats.errors.Error, TimeoutError, OSError, KeyError) as error:
            raise errors.unavailable("nats") from error


class NatsItem:
    """`malha_planner.ports.WorkItem`: one delivery of a hint."""

    def __init__(self, connection: Connection, message: Msg, lane: Lane) -> None:
        # $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>
        fields = message.reply.split(".")
        self.tenant = lane.tenant
        self.run_id = message.data.decode()
        self.item = int(fields[-4])
        self.delivery = int(fields[-5])
        self.time = datetime.fromtimestamp(int(fields[-2]) / 1e9, UTC)
        self._connection = connection
        self._reply = message.reply

    async def ack(self) -> None:
        await self._send(b"+ACK")

    async def in_progress(self) -> None:
        await self._send(b"+WPI")

    async def give_back(self) -> None:
        """Let the queue deliver it again at once; for items that were never begun."""
        await self._send(b"-NAK")

    async def queued(self, item: int) -> bool:
        try:
            answer = await self._connection.nc.request(
                f"$JS.API.STREAM.MSG.GET.{WORK}", orjson.dumps({"seq": item}), timeout=2
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


class NatsWork:
    """Takes items out of the queue and hands them to a handler, `concurrency` at a time."""

    def __init__(
        self, connection: Connection, *, concurrency: int, tenant_concurrency: int, ack_wait: float
    ) -> None:
        self._connection = connection
        self._concurrency = concurrency
        self._tenant_concurrency = tenant_concurrency
        self._ack_wait = ack_wait
        self._lanes = Lanes()
        self._open: set[Lane] = set()
        self._opening: set[Lane] = set()
        self._asked: defaultdict[Lane, deque[float]] = defaultdict(deque)
        self._outstanding = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._inbox = connection.nc.new_inbox()
        self._stopping = False

    async def serve(self, handler: Handler, stop: asyncio.Event, *, grace: float) -> None:
        """Hand items to the handler until `stop`; then wait `grace` seconds for those under way.

        Items still under way after that are cancelled and left to the next worker.
        """
        self._handler = handler
        nc = self._connection.nc
        inbox = await nc.subscribe(f"{self._inbox}.*.*", cb=self._delivered)
        ring = await nc.subscribe(WORK_SUBJECTS, cb=self._rung)
        sweeping = asyncio.create_task(self._sweep_forever())
        try:
            await stop.wait()
            self._stopping = True
            await ring.unsubscribe()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=grace)
        finally:
            self._stopping = True
            await end(sweeping, *self._tasks)
            with contextlib.suppress(nats.errors.Error):
                await inbox.unsubscribe()

    # slots

    def _free(self) -> int:
        return self._concurrency - self._outstanding - len(self._tasks)

    async def _pump(self) -> None:
        """Give free slots to lanes with work, in turn."""
        while self._lanes and self._free() > 0 and not self._stopping:
            await self._ask(self._lanes.next(), wait=False)

    async def _ask(self, lane: Lane, *, wait: bool) -> None:
        """Ask a lane for one item; a slot is kept for it until it comes or the lane says no."""
        self._outstanding += 1
        self._asked[lane].append(asyncio.get_running_loop().time() + _ASK_SECONDS + 1)
        with contextlib.suppress(nats.errors.Error):  # unanswered questions lapse in the sweep
            await self._connection.nc.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{WORK}.{_durable(lane)}",
                _WAIT if wait else _NO_WAIT,
                reply=f"{self._inbox}.{lane.work_class}.{lane.tenant}",
            )

    def _answered(self, lane: Lane) -> None:
        if asked := self._asked[lane]:
            asked.popleft()
            self._outstanding -= 1

    # what comes in

    async def _rung(self, message: Msg) -> None:
        """A hint is being stored in this lane."""
        lane = _lane(message.subject)
        if lane not in self._open:
            self._lanes.add(lane)
            await self._open_lane(lane)
        elif self._free() > 0:
            await self._ask(lane, wait=True)
        else:
            self._lanes.add(lane)

    async def _delivered(self, message: Msg) -> None:
        lane = _lane(message.subject)
        self._answered(lane)
        if not message.reply:  # a status: no message, time is up, too many unacknowledged
            self._lanes.empty(lane)
            return await self._pump()
        item = NatsItem(self._connection, message, lane)
        if self._stopping:
            with contextlib.suppress(MalhaError):
                await item.give_back()
            return None
        task = asyncio.create_task(self._work(item))
        self._tasks.add(task)
        metrics.PLANNER_BUSY.set(len(self._tasks))
        task.add_done_callback(self._tasks.discard)
        return None

    async def _work(self, item: NatsItem) -> None:
        try:
            await self._handler(item)
        finally:
            self._tasks.discard(asyncio.current_task())
            metrics.PLANNER_BUSY.set(len(self._tasks))
        if self._lanes:
            await self._pump()

    # what no ring announced

    async def _sweep_forever(self) -> None:
        while True:
            try:
                await self._sweep()
            except (nats.errors.Error, MalhaError, TimeoutError, OSError) as error:
                log.warning("work_sweep_failed", error=type(error).__name__)
            await asyncio.sleep(_SWEEP_SECONDS)

    async def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        for asked in self._asked.values():
            while asked and asked[0] < now:  # asked of a server that went away
                asked.popleft()
                self._outstanding -= 1
        info = await self._connection.js.stream_info(WORK, subjects_filter=WORK_SUBJECTS)
        for subject in info.state.subjects or {}:
            lane = _lane(subject)
            self._lanes.add(lane)
            if lane not in self._open:
                await self._open_lane(lane)
        await self._pump()

    async def _open_lane(self, lane: Lane) -> None:
        """Make the lane's consumer, as any planner does that sees it first."""
        if lane in self._opening:
            return
        self._opening.add(lane)
        try:
            await self._connection.js.add_consumer(
                WORK,
                ConsumerConfig(
                    durable_name=_durable(lane),
                    filter_subject=work_subject(*lane),
                    ack_policy=AckPolicy.EXPLICIT,
                    ack_wait=self._ack_wait,
                    max_deliver=-1,
                    max_ack_pending=self._tenant_concurrency,
                ),
            )
            self._open.add(lane)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            log.warning("lane_not_open", error=type(error).__name__)  # the sweep tries again
        finally:
            self._opening.discard(lane)
        await self._pump()


def _lane(subject: str) -> Lane:
    """The lane of a hint's subject, or of the inbox its lane was asked with: the last two parts."""
    _, work_class, tenant = subject.rsplit(".", 2)
    return Lane(work_class, tenant)


def _durable(lane: Lane) -> str:
    return f"{lane.work_class}={lane.tenant}"
