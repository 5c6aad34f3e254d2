"""The end of one run's journal, kept up to date while anyone reads it.

A tail knows the run's records as they are stored, sealed, and the latest events as callers see them: a
window, bounded in events and in bytes, so that an event is opened once for all who are there to hear it.
It belongs to all of them: what it reads it reads in the gateway's name for the tenant, in a time of its own
and in no reader's trace, so that it outlives the key, the deadline and the stream of whoever came first.
Whoever is behind the window gets its events made again from the records, a page at a time. So a reader
needs a position and nothing else, and what a run costs here is bounded by its journal, whoever reads it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from contextvars import Context

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.gateway.v1.run_pb2 import RunEvent
from malha.api.run.v1.record_pb2 import Record
from malha.errors import ErrorReason, MalhaError, unavailable
from malha.run import Entry, Journal, LiveText, Position, RunState, UnsealableError, fold_whatever
from malha.telemetry import log
from malha_gateway.looking import Looking
from malha_gateway.ports import Acting, Deltas
from malha_gateway.view import View

WINDOW_EVENTS = 256
WINDOW_BYTES = 1024 * 1024
PAGE_EVENTS = 128
PAGE_BYTES = 256 * 1024
RETRY_SECONDS = 0.5
_READING_SECONDS = 30.0
"""For one look at the journal, which may go to the archive and there from page to page."""
_RECENT = 32
_BREATH = 256
"""Records folded without letting others go on."""

Told = tuple[Position, RunEvent]


class Tail:
    """One run's journal as it is followed. ``run`` does it, until the run is over or ``stop`` is called."""

    def __init__(
        self, journal: Journal, deltas: Deltas, view: View, acting: Acting, tenant: str, run_id: str
    ) -> None:
        self._journal = journal
        self._deltas = deltas
        self._view = view
        self._acting = acting
        self._tenant = tenant
        self._run_id = run_id
        self._state: RunState | None = None
        self._entries: list[Entry] = []
        self._window: deque[tuple[Position, RunEvent, int]] = deque()
        self._bytes = 0
        self._floor = Position(0, 0)
        """Every event after this one that is known at all is in the window."""
        self._recent: deque[Record] = deque(maxlen=_RECENT)
        self._stopped = False
        self._task: asyncio.Task[None] | None = None
        self._text = LiveText()
        self._listening: asyncio.Task[None] | None = None
        self.over = False
        self.failure: MalhaError | None = None
        self.change = asyncio.Event()
        """Set, and replaced by another, at every change."""
        self.readers = 0

    @property
    def position(self) -> Position:
        """The last event known here."""
        return self._state.position if self._state is not None else Position(0, 0)

    @property
    def lasts(self) -> bool:
        """Whether whoever comes now hears all there is; not of a dead run, which may be replayed."""
        return self.failure is None and not (self.over and self._state is not None and self._state.dead)

    @property
    def live(self) -> LiveText | None:
        """The text that is being written; None between the texts, and where none is heard of.

        By the journal as it is known here: never before the step's start, or after its end, or one that
        another worker goes on writing to whom the run was lost.
        """
        if self._state is None or self._text.epoch != self._state.epoch:
            return None
        attempt = self._state.attempt(self._text.key)
        return self._text if attempt is not None and attempt.open else None

    async def page(self, after: Position) -> list[Told]:
        """The next events after ``after``, one at least if there are any; of no more than a page's size."""
        if after < self._floor:
            return await self._made_again(after)
        return _page((place, event, size) for place, event, size in self._window if place > after)

    def start(self) -> asyncio.Task[None]:
        """Follow, in a task of its own."""
        self._task = asyncio.create_task(self.run(), context=Context())
        return self._task

    def listen(self) -> asyncio.Task[None] | None:
        """Hear texts while they are written, for readers who want them: a task, where none does yet."""
        if self.over or (self._listening is not None and not self._listening.done()):
            return None
        self._listening = asyncio.create_task(self._hear(), context=Context())
        return self._listening

    def stop(self) -> None:
        """End the tasks; for when nobody reads any more.

        A cancellation may be lost on its way: on Python 3.11 ``asyncio.wait_for``, which nats-py uses for
        every request, swallows one that comes together with the answer (cpython issue 86296). So the loop
        looks for itself too.
        """
        self._stopped = True
        for task in (self._task, self._listening):
            if task is not None:
                task.cancel()
        if self._task is None or self._task.done():
            self._forget()

    async def run(self) -> None:
        """Follow the journal until the run is over. Failures are the readers' to raise."""
        try:
            async with self._journal.doorbell(self._tenant, self._run_id) as bell:
                looking, expected = Looking(), None
                await self._read_on()
                while not (self.over or self._stopped):
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
        except asyncio.CancelledError:
            if self._stopped:
                raise
            self.failure = unavailable("journal")  # nobody here cancelled it: what it waited for was closed
        except MalhaError as error:
            self.failure = error
        except Exception as error:
            log.error("following_failed", tenant=self._tenant, run=self._run_id, exc_info=error)
            self.failure = MalhaError(ErrorReason.ERROR_REASON_INTERNAL, "an internal error occurred")
        finally:
            if self._stopped:
                self._forget()
        if self._listening is not None:
            self._listening.cancel()
        self._changed()

    def _forget(self) -> None:
        """Keep nothing: nobody reads any more, but a reader let go has hold of this while it sleeps."""
        self._entries.clear()
        self._window.clear()
        self._state = None

    async def _hear(self) -> None:
        """Take in what is told. A failure costs the readers the parts alone: the journal has the text."""
        try:
            async with self._deltas.listen(self._tenant, self._run_id) as deltas:
                async for delta in deltas:
                    with suppress(UnsealableError, MalhaError):
                        text = await self._view.text(delta)
                        if self._text.take(delta, text) and self.live is not None:
                            self._changed()
                    if self._stopped or self.over:
                        return  # the cancellation was lost meanwhile
        except Exception as error:
            log.error("hearing_failed", tenant=self._tenant, run=self._run_id, exc_info=error)

    async def _read_on(self) -> None:
        """Take in what is new; nothing where the journal is away and the readers have patience."""
        try:
            after = self._state.last_sequence if self._state else 0
            with self._acting(Principal(tenant=self._tenant, subject="gateway"), timeout=_READING_SECONDS):
                entries = await self._journal.load(self._tenant, self._run_id, after=after)
        except MalhaError as error:
            if self._state is None or error.reason != ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE:
                raise
            await asyncio.sleep(RETRY_SECONDS)
            return
        if not entries and self._state is None:
            raise MalhaError(ErrorReason.ERROR_REASON_RUN_NOT_FOUND, "there is no such run")
        for entry in entries:
            self._state = fold_whatever([entry], self._state)
            self._entries.append(entry)
            self._recent.append(entry.record)
            for position, event in await self._view.events(entry, self._state):
                self._add(position, event)
        if self._state is not None:
            self.over = self._state.final
        if entries:
            self._changed()

    async def _made_again(self, after: Position) -> list[Told]:
        """A page from the records; each event from the state right after its own record, as at first."""
        state: RunState | None = None
        made: list[tuple[Position, RunEvent, int]] = []
        size = 0
        for number, entry in enumerate(tuple(self._entries)):
            state = fold_whatever([entry], state)
            if entry.sequence >= after.sequence:
                told = await self._view.events(entry, state)
                made += [(place, event, event.ByteSize()) for place, event in told if place > after]
                size = sum(one[2] for one in made)
                if len(made) >= PAGE_EVENTS or size >= PAGE_BYTES:
                    break
            elif number % _BREATH == 0:
                await asyncio.sleep(0)
        return _page(made)

    def _add(self, position: Position, event: RunEvent) -> None:
        size = event.ByteSize()
        self._window.append((position, event, size))
        self._bytes += size
        while len(self._window) > WINDOW_EVENTS or (self._bytes > WINDOW_BYTES and len(self._window) > 1):
            self._floor, _, gone = self._window.popleft()
            self._bytes -= gone

    def _changed(self) -> None:
        self.change.set()
        self.change = asyncio.Event()


def _page(events: Iterable[tuple[Position, RunEvent, int]]) -> list[Told]:
    """The first events, up to a page's size."""
    page: list[Told] = []
    room = PAGE_BYTES
    for position, event, size in events:
        if page and (size > room or len(page) == PAGE_EVENTS):
            break
        page.append((position, event))
        room -= size
    return page
