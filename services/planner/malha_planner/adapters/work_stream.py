"""Hints out of the stream WORK, lane by lane.

Pulling: many concurrent fetches on one subscription of nats-py decay to one outstanding pull and never
recover, so there is one inbox for all lanes, and a question for one item at a time takes a slot. A plain
subscription on the subjects rings when a hint is being stored; each delivery tells how many more its lane
has; a sweep each second finds what neither announced: hints whose lease is over, or that were stored
while nobody listened. Which lane is asked next is not decided here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable

import nats.errors
import orjson
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from malha.errors import MalhaError
from malha.run.nats_journal import WORK, WORK_SUBJECTS, Connection, work_subject
from malha.tasks import end
from malha.telemetry import metrics
from malha.telemetry.logs import log
from malha_planner.adapters.work_item import NatsItem
from malha_planner.lanes import Lane, Lanes
from malha_planner.ports import WorkItem
from malha_planner.waiting_room import WaitingRoom

_ANSWER_SECONDS = 2.0
_STORED_SECONDS = 0.25
"""How long after its ring a hint may be stored."""
_SWEEP_SECONDS = 1.0
_LAST_WORDS_SECONDS = 3.0
"""What a run has to say last takes two at most."""
_WAIT = orjson.dumps({"batch": 1, "expires": int(_STORED_SECONDS * 1e9)})
_NOBODY = "503"
_NO_WAIT = orjson.dumps({"batch": 1, "no_wait": True})

Handler = Callable[[WorkItem], Awaitable[None]]


class NatsWork:
    """Takes items out of the queue and hands them to a handler.

    Args:
        lanes: whose turn it is, and for how many there is room.
        cap: of a tenant, items of one lane in flight over all planners.
    """

    def __init__(
        self, connection: Connection, lanes: Lanes, *, cap: Callable[[str], int], ack_wait: float
    ) -> None:
        self._connection = connection
        self._lanes = lanes
        self._waiting = WaitingRoom(lanes, self._pump)
        self._cap = cap
        self._ack_wait = ack_wait
        self._open: set[Lane] = set()
        self._opening: set[Lane] = set()
        self._asked: defaultdict[Lane, deque[float]] = defaultdict(deque)
        self._more: dict[Lane, int] = {}
        """What the last delivery of each lane said of those to come."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._inbox = connection.nc.new_inbox()
        self._queued = Counter[str]()
        self._comes_back = True
        """Whether the next free slot is for one who comes back, if there is one, rather than for one more."""
        self._stopping = False

    async def serve(self, handler: Handler, stop: asyncio.Event, *, grace: float) -> None:
        """Hand items to the handler until `stop`; then wait `grace` seconds for those under way.

        Items still under way after that are cancelled and left to the next worker. What nobody foresaw is
        raised: a queue that is swept no more would lose items without a word.
        """
        self._handler = handler
        nc = self._connection.nc
        inbox = await nc.subscribe(f"{self._inbox}.*.*", cb=self._delivered)
        ring = await nc.subscribe(WORK_SUBJECTS, cb=self._rung)
        sweeping = asyncio.create_task(self._sweep_forever())
        told = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((told, sweeping), return_when=asyncio.FIRST_COMPLETED)
            if sweeping.done():
                sweeping.result()
            self._stopping = True
            await ring.unsubscribe()
            # the server forgets what was asked for; what is on its way still comes, and is given back
            with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
                await inbox.drain()  # type: ignore[no-untyped-call]  # nats-py leaves it untyped
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=grace)
            await self._break_off()
        finally:
            self._stopping = True
            await end(told, sweeping, *self._tasks)
            with contextlib.suppress(nats.errors.Error):
                await inbox.unsubscribe()

    async def _break_off(self) -> None:
        """Cancel what is still under way, once: a second time would cut off what is said last of each run."""
        left = set(self._tasks)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_LAST_WORDS_SECONDS)

    # questions

    async def _pump(self, rang: Lane | None = None) -> None:
        """Give away what slots are free. A lane that just rang is waited for."""
        asked: list[Lane] = []
        while self._give(asked):
            pass
        metrics.PLANNER_BUSY.set(len(self._tasks) - self._waiting.inside)
        for lane in asked:
            with contextlib.suppress(nats.errors.Error):  # unanswered questions lapse in the sweep
                await self._connection.nc.publish(
                    f"$JS.API.CONSUMER.MSG.NEXT.{WORK}.{_durable(lane)}",
                    _WAIT if lane == rang else _NO_WAIT,
                    reply=f"{self._inbox}.{lane.name}.{lane.tenant}",
                )

    def _give(self, asked: list[Lane]) -> bool:
        """Give a free slot to one who comes back to work, or to a question; whether there were both.

        They take turns: either could have them all, without end.
        """
        for comes_back in (self._comes_back, not self._comes_back):
            if comes_back:
                given = self._waiting.admit()
            elif given := not self._stopping and (lane := self._lanes.take()) is not None:
                self._asked[lane].append(asyncio.get_running_loop().time() + _ANSWER_SECONDS)
                asked.append(lane)
            if given:
                self._comes_back = not comes_back
                return True
        return False

    def _answered(self, lane: Lane) -> None:
        """A question was answered: its slot is free, unless it had lapsed."""
        if asked := self._asked[lane]:
            asked.popleft()
            self._lanes.free(lane)

    # what comes in

    async def _rung(self, message: Msg) -> None:
        """A hint is being stored in this lane."""
        lane = _lane(message.subject)
        if lane in self._open:
            self._lanes.add(lane)
            await self._pump(lane)
        else:
            await self._open_lane(lane)

    async def _delivered(self, message: Msg) -> None:
        lane = _lane(message.subject)
        self._answered(lane)
        if not message.reply:  # a status: no message, time is up, too many unacknowledged
            if (message.headers or {}).get("Status") == _NOBODY:
                self._open.discard(lane)  # its consumer is gone; the next ring, or the sweep, makes it again
            self._lanes.empty(lane)
            return await self._pump()
        item = NatsItem(self._connection, message, lane, self._waiting)
        if self._stopping:
            with contextlib.suppress(MalhaError):
                await item.give_back()
            return None
        self._lanes.occupy(lane)
        self._more[lane] = item.more
        # one that is delivered again is seldom the only one: its worker had others
        self._lanes.at_least(lane, max(item.more - len(self._asked[lane]), int(item.delivery > 1)))
        task = asyncio.create_task(self._work(item))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await self._pump()
        return None

    async def _work(self, item: NatsItem) -> None:
        try:
            await self._handler(item)
        finally:
            self._tasks.discard(asyncio.current_task())
            self._lanes.free(item.lane)
        if self._more[item.lane]:  # it may have been at its tenant's cap until now
            self._lanes.at_least(item.lane, 1)
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
        for lane, asked in self._asked.items():
            while asked and asked[0] < now:  # asked of a server that went away
                self._answered(lane)
        info = await self._connection.js.stream_info(WORK, subjects_filter=WORK_SUBJECTS)
        queued = Counter[str]()
        for subject, items in (info.state.subjects or {}).items():
            lane = _lane(subject)
            queued[lane.work_class] += items
            if lane in self._open:
                self._lanes.at_least(lane, 1)
            else:
                await self._open_lane(lane)
        for work_class in {*self._queued, *queued}:
            metrics.PLANNER_QUEUED.labels(work_class).set(queued[work_class])
        self._queued = queued
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
                    max_ack_pending=self._cap(lane.tenant),
                ),
            )
            self._open.add(lane)
            self._lanes.at_least(lane, 1)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            log.warning("lane_not_open", error=type(error).__name__)  # the sweep tries again
        finally:
            self._opening.discard(lane)
        await self._pump()


def _lane(subject: str) -> Lane:
    """The lane of a hint's subject, or of the inbox its lane was asked with: the last two parts."""
    _, name, tenant = subject.rsplit(".", 2)
    return Lane(name, tenant)


def _durable(lane: Lane) -> str:
    return f"{lane.name}={lane.tenant}"
