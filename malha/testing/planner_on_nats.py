"""The planner's worker, queue and follower on a real nats-server; what they call besides is in memory.

Each part can be started and stopped alone, and more than once: two followers are two replicas.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType

import nats.errors
import nats.js.errors
import orjson

from malha.clock import SystemClock
from malha.run import Entry, JournalWithArchive
from malha.run.nats_journal import EVENTS, WORK, Connection, NatsJournal, NatsKeyRing
from malha.sqlite import Database
from malha.tasks import end
from malha.testing.planner import MemoryItem, asks, says
from malha.testing.shop import Shop, until
from malha.wire import acting_for
from malha_planner.adapters.archive import SqliteArchive
from malha_planner.adapters.database_files import DatabaseFiles
from malha_planner.adapters.erasing_streams import NatsStreams
from malha_planner.adapters.event_stream import NatsAnnouncer
from malha_planner.adapters.pipeline import Pipeline
from malha_planner.adapters.presence import NatsPresence
from malha_planner.adapters.record_feed import NatsRecordFeed
from malha_planner.adapters.runs_table import MIGRATIONS, SqliteRunsTable
from malha_planner.adapters.waker import NatsWaker
from malha_planner.adapters.work_stream import Handler, NatsWork
from malha_planner.archiving import Archivist
from malha_planner.erase_requests import EraseRequests
from malha_planner.erasing import Eraser
from malha_planner.follower import Follower
from malha_planner.lanes import Lanes
from malha_planner.ports import Chore, Keys


class PlannerOnNats(Shop):
    """A shop whose journal, queue and events are real."""

    def __init__(self, connection: Connection, state: Path, *, ack_wait: float = 2.0) -> None:
        super().__init__()
        self.connection = connection
        self.stream_journal = NatsJournal(connection)
        self.ack_wait = ack_wait
        self.chores: list[Chore] = []
        """What followers made from now on do besides."""
        self.lanes: list[Lanes] = []
        """Of each worker started."""
        self.recording: asyncio.Lock = asyncio.Lock()
        """Shared by chores that must not write at once."""
        self.state_dir = state
        self._stack = AsyncExitStack()
        self._tasks: dict[asyncio.Task[None], asyncio.Event | None] = {}

    async def __aenter__(self) -> PlannerOnNats:
        database = await Database.open(self.state_dir / "planner.db", MIGRATIONS, durable=False)
        self._stack.push_async_callback(database.close)
        self.table = SqliteRunsTable(database)
        archive_database = await SqliteArchive.open(self.state_dir / "archive.db")
        self._stack.push_async_callback(archive_database.close)
        self.archive = SqliteArchive(archive_database)
        self.journal = JournalWithArchive(self.stream_journal, self.archive)  # type: ignore[assignment] # the same port
        self.streams = NatsStreams(self.connection)
        self.disk = DatabaseFiles(self.state_dir / "planner.db", self.state_dir / "archive.db")
        self.pipeline = Pipeline(self.connection)
        self._stack.push_async_callback(self.pipeline.close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop_all()
        await self._stack.aclose()

    def follower(self) -> Follower:
        """A replica's follower, not started."""
        return Follower(
            journal=self.journal,
            feed=NatsRecordFeed(self.connection),
            announcer=NatsAnnouncer(self.connection, self.pipeline),
            waker=NatsWaker(self.pipeline),
            presence=NatsPresence(self.connection),
            table=self.table,
            clock=SystemClock(),
            ack_wait=self.ack_wait,
            lead_every=0.1,
            chores=self.chores,
        )

    def archivist(self, after: timedelta = timedelta()) -> Archivist:
        """A chore that archives runs so long after their end. Its parts are those of this planner by then."""
        return Archivist(
            journal=self.stream_journal,
            shelf=self.archive,
            table=self.table,
            streams=self.streams,
            waker=NatsWaker(self.pipeline),
            clock=SystemClock(),
            after=after,
        )

    def eraser(self) -> Eraser:
        """A chore that erases what `erase_requests` takes."""
        return Eraser(
            journal=self.stream_journal,
            shelf=self.archive,
            erasures=self.archive,
            table=self.table,
            streams=self.streams,
            effects=self.toolbox,
            acting=acting_for,
            recording=self.recording,
            disk=self.disk,
            clock=SystemClock(),
        )

    def erase_requests(self, keys: Keys | None = None) -> EraseRequests:
        """Where to ask for erasures."""
        return EraseRequests(
            journal=self.stream_journal,
            shelf=self.archive,
            erasures=self.archive,
            table=self.table,
            keys=keys or NatsKeyRing(self.connection, bytes(32)),
            disk=self.disk,
            clock=SystemClock(),
        )

    def start_follower(self) -> asyncio.Task[None]:
        """A replica's follower, started."""
        return self.start(self.follower().run())

    def start_worker(
        self,
        handler: Handler | None = None,
        *,
        concurrency: int = 64,
        caps: Callable[[str], int] = lambda _: 128,
        shares: Mapping[str, float] | None = None,
    ) -> asyncio.Task[None]:
        """A replica's queue and worker, started; or another handler in the worker's place."""
        lanes = Lanes(concurrency, shares or {}, caps)
        self.lanes.append(lanes)
        work = NatsWork(self.connection, lanes, cap=caps, ack_wait=self.ack_wait)
        stop = asyncio.Event()
        handler = handler or self.worker(ack_wait=self.ack_wait).handle
        return self.start(work.serve(handler, stop, grace=5.0), stop)

    def start(self, work: object, stop: asyncio.Event | None = None) -> asyncio.Task[None]:
        """A part of one's own making, started; it is stopped by the event, or killed."""
        task: asyncio.Task[None] = asyncio.create_task(work)  # type: ignore[arg-type] # a coroutine of ours
        self._tasks[task] = stop
        return task

    async def stop(self, task: asyncio.Task[None]) -> None:
        """Stop a part as SIGTERM would, or kill it where it has no other way."""
        stop = self._tasks.pop(task)
        if stop is not None:
            stop.set()
            await task
        else:
            await end(task)

    async def kill(self, task: asyncio.Task[None]) -> None:
        """Stop a part at once."""
        self._tasks.pop(task)
        await end(task)

    async def stop_all(self) -> None:
        """Stop every part that was started and is not stopped yet."""
        for task in list(self._tasks):
            await self.stop(task)

    async def finished(self, count: int = 1) -> list[MemoryItem]:
        """So many runs that are over, of two model calls and one tool's; follower and worker go on."""
        self.model.script = [asks(("add", {"a": 1, "b": 2})), says("three")]
        self.start_follower()
        self.start_worker()
        items = [await self.accept() for _ in range(count)]
        await self.until_finished(count)
        return items

    async def in_stream(self, item: MemoryItem) -> list[Entry]:
        """What the stream holds of the run, whatever is archived."""
        return await self.stream_journal.load(item.tenant, item.run_id)

    async def events(self) -> list[dict[str, object]]:
        """Every announced event, in order."""
        info = await self.connection.js.stream_info(EVENTS)
        found = []
        for sequence in range(1, info.state.last_seq + 1):
            with contextlib.suppress(nats.js.errors.NotFoundError):  # erased
                message = await self.connection.js.get_msg(EVENTS, seq=sequence)
                found.append(orjson.loads(message.data or b"{}"))
        return found

    async def queued(self) -> int:
        """Hints in the queue, delivered ones that were not acknowledged included."""
        return (await self.connection.js.stream_info(WORK)).state.messages

    async def until_queued(self, count: int, *, seconds: float = 10) -> None:
        """Return once so many hints are in the queue; the server takes acknowledgements in its own time."""

        async def as_many() -> bool:
            return await self.queued() == count

        await until(as_many, seconds=seconds)

    async def until_final(self, item: MemoryItem) -> None:
        """Return once the run is over."""

        async def over() -> bool:
            return (await self.state(item)).final

        await until(over)

    async def until_finished(self, count: int) -> None:
        """Return once so many runs' ends are announced."""

        async def enough() -> bool:
            try:
                types = [event["type"] for event in await self.events()]
            except nats.errors.Error:
                return False  # the server is away for a moment
            return types.count("malha.run.finished") >= count

        await until(enough)
