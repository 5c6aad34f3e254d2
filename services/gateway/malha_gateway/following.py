"""Many readers, one follower a run.

Whoever streams a run shares one tail of its journal: a doorbell, the fold so far, and a window of the
latest events. Readers keep a position and nothing else; each takes what comes after it from the
window. So a reader that is slow costs no memory: when the window has moved past it, it reads the
journal again by its own position, and catches up. The window is bounded in events and in bytes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType

from malha.api.gateway.v1.run_pb2 import RunEvent
from malha.api.run.v1.record_pb2 import Record
from malha.errors import ErrorReason, MalhaError
from malha.run import Journal, Position, RunState, fold
from malha.telemetry import log, metrics
from malha_gateway.looking import Looking
from malha_gateway.view import View

_WINDOW_EVENTS = 256
_WINDOW_BYTES = 1024 * 1024
_RECENT = 32
_RETRY_SECONDS = 0.5


class Following:
    """The tails of the runs being watched. Use as an async context manager: it owns their tasks."""

    def __init__(self, journal: Journal, view: View) -> None:
        self._journal = journal
        self._view = view
        self._tails: dict[tuple[str, str], _Tail] = {}
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Following:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for tail in list(self._tails.values()):
            tail.stop()
        await self._tasks.__aexit__(kind, error, trace)

    async def follow(
        self, tenant: str, run_id: str, after: Position, *, idle: float
    ) -> AsyncGenerator[RunEvent | None, None]:
        """The run's events after a position, in order, each once, until the run is over.

        Yields None whenever nothing happened for ``idle`` seconds.

        Raises:
            MalhaError: RUN_NOT_FOUND; DEPENDENCY_UNAVAILABLE while the journal cannot be read at all.
        """
        async with self._tail(tenant, run_id) as tail:
            while True:
                change, over, failure = tail.change, tail.over, tail.failure
                if after < tail.floor:
                    async for position, event in self._reread(tenant, run_id, after):
                        yield event
                        after = position
                        if after >= tail.floor:
                            break
                    continue  # the window may have moved on meanwhile
                for position, event in tail.after(after):
                    yield event
                    after = position
                if failure is not None:
                    raise failure
                if over:
                    return
                if change.is_set():
                    continue
                try:
                    async with asyncio.timeout(idle):
                        await change.wait()
                except TimeoutError:
                    yield None

    async def _reread(
        self, tenant: str, run_id: str, after: Position
    ) -> AsyncIterator[tuple[Position, RunEvent]]:
        state: RunState | None = None
        for entry in await self._journal.load(tenant, run_id):
            state = fold([entry], state)
            if entry.sequence >= after.sequence:
                for position, event in await self._view.events(entry, state):
                    if position > after:
                        yield position, event

    @asynccontextmanager
    async def _tail(self, tenant: str, run_id: str) -> AsyncIterator[_Tail]:
        key = (tenant, run_id)
        tail = self._tails.get(key)
        if tail is None or tail.failure is not None:
            tail = self._tails[key] = _Tail(self._journal, self._view, tenant, run_id)
            tail.task = self._tasks.create_task(tail.run())
            metrics.GATEWAY_RUNS_FOLLOWED.inc()
        tail.readers += 1
        try:
            yield tail
        finally:
            tail.readers -= 1
            if not tail.readers:
                tail.stop()
                metrics.GATEWAY_RUNS_FOLLOWED.dec()
                if self._tails.get(key) is tail:
                    del self._tails[key]


class _Tail:
    """The end of one run's journal, kept up to date while anyone reads it."""

    def __init__(self, journal: Journal, view: View, tenant: str, run_id: str) -> None:
        self._journal = journal
        self._view = view
        self._tenant = tenant
        self._run_id = run_id
        self._state: RunState | None = None
        self._window: deque[tuple[Position, RunEvent, int]] = deque()
        self._bytes = 0
        self._recent: deque[Record] = deque(maxlen=_RECENT)
        self.floor = Position(0, 0)
        """Every event after this one that is known at all is in the window."""
        self.over = False
        self.failure: MalhaError | None = None
        self.change = asyncio.Event()
        """Set, and replaced by another, at every change."""
        self.readers = 0
        self.task: asyncio.Task[None] | None = None

    def after(self, position: Position) -> list[tuple[Position, RunEvent]]:
        """The window's events after ``position``."""
        return [(place, event) for place, event, _ in self._window if place > position]

    def stop(self) -> None:
        """End the task; for when nobody reads any more."""
        if self.task is not None:
            self.task.cancel()

    async def run(self) -> None:
        """Follow the journal until the run is over. Failures are the readers' to raise."""
        try:
            async with self._journal.doorbell(self._tenant, self._run_id) as bell:
                looking, expected = Looking(), None
                await self._read_on()
                while not self.over:
                    rang = await bell.wait(looking.pause)
                    if rang is not None:
                        if rang in self._recent:
                            continue  # read already
                        expected = rang
                        looking.expect()
                    await self._read_on()
                    if expected is None or expected in self._recent:
                        looking.found()
                    else:
                        looking.looked()
        except MalhaError as error:
            self.failure = error
        except Exception as error:
            log.error("following_failed", tenant=self._tenant, run=self._run_id, exc_info=error)
            self.failure = MalhaError(ErrorReason.ERROR_REASON_INTERNAL, "an internal error occurred")
        self._changed()

    async def _read_on(self) -> None:
        """Take in what is new; nothing where the journal is away and the readers have patience."""
        try:
            after = self._state.last_sequence if self._state else 0
            entries = await self._journal.load(self._tenant, self._run_id, after=after)
        except MalhaError as error:
            if self._state is None or error.reason != ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE:
                raise
            await asyncio.sleep(_RETRY_SECONDS)
            return
        if not entries and self._state is None:
            raise MalhaError(ErrorReason.ERROR_REASON_RUN_NOT_FOUND, "there is no such run")
        for entry in entries:
            self._state = fold([entry], self._state)
            self._recent.append(entry.record)
            for position, event in await self._view.events(entry, self._state):
                self._add(position, event)
        if self._state is not None:
            self.over = self._state.final
        if entries:
            self._changed()

    def _add(self, position: Position, event: RunEvent) -> None:
        size = event.ByteSize()
        self._window.append((position, event, size))
        self._bytes += size
        while len(self._window) > _WINDOW_EVENTS or (self._bytes > _WINDOW_BYTES and len(self._window) > 1):
            self.floor, _, gone = self._window.popleft()
            self._bytes -= gone

    def _changed(self) -> None:
        self.change.set()
        self.change = asyncio.Event()
