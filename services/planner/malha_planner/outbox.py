"""What the follower has to tell, on its way out: rows and events, some milliseconds' worth at a time.

A hint cannot wait, for a caller waits behind it. Rows and events can, and together they cost a third:
one transaction, one answer for a whole batch of events. And events must wait for the hints: the next
leader goes on behind the last event, so what it finds announced was woken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from malha.api.event.v1.alert_pb2 import Alert
from malha.api.event.v1.event_pb2 import RunFact
from malha.clock import Clock
from malha.run import Entry, Position, RunState, facts
from malha.telemetry import metrics
from malha_planner.cloud_events import alert_event, alert_type, cloud_event
from malha_planner.ports import Announcement, Announcer, Overtaken, RunsTable
from malha_planner.rows import row_of

_EVERY = 0.02
_FULL = 4096


class Outbox:
    """One leadership's outbox.

    Args:
        fence: sequence of the last event.
        announced: the position it announced; events up to there are not told again.
        told: the sequence up to which everything was announced before this leadership.
        idle: how long a runnable run may stand still before it wants a hint.
    """

    def __init__(
        self,
        announcer: Announcer,
        table: RunsTable,
        clock: Clock,
        *,
        fence: int,
        announced: Position,
        told: int,
        idle: timedelta,
    ) -> None:
        self._announcer = announcer
        self._table = table
        self._clock = clock
        self._fence = fence
        self._announced = announced
        self._idle = idle
        self._sending = asyncio.Lock()
        self._confirmed = False
        self._events: list[Announcement] = []
        self._ready = 0
        """How many of the events may be told by now."""
        self._moved: dict[tuple[str, str], tuple[RunState, Entry, int]] = {}
        self._records = 0
        self._last = self._seen = self._told = told
        self._something = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    @property
    def told(self) -> int:
        """The sequence up to which everything is in the table and announced."""
        return self._told

    def put(self, entry: Entry, state: RunState, *, accepted_sequence: int) -> None:
        """Take a record; `state` is the fold up to and including it."""
        self._moved[state.tenant, state.run_id] = state, entry, accepted_sequence
        self.tell(entry, facts(entry, state))

    def tell(self, entry: Entry, told: Iterable[tuple[str, RunFact]]) -> None:
        """Take what a record announces."""
        for event_type, fact in told:
            position = Position(entry.sequence, int(fact.position.rpartition(".")[2]))
            if position > self._announced:
                body = cloud_event(event_type, fact, entry.time)
                self._events.append(Announcement(fact.tenant, event_type, position, body))
        self._took(entry)

    def alert(self, entry: Entry, alert: Alert) -> None:
        """Take a record that carries an alert."""
        position = Position(entry.sequence, 0)
        if position > self._announced:
            announcement = Announcement(alert.tenant, alert_type(alert), position, alert_event(alert))
            self._events.append(announcement)
        self._took(entry)

    def woken(self) -> None:
        """All runs that the records taken so far wake have their hints: the events may go."""
        self._ready, self._seen = len(self._events), self._last
        self._something.set()
        if self._ready >= _FULL:
            self._room.clear()

    def _took(self, entry: Entry) -> None:
        self._last = entry.sequence
        self._records += 1
        self._something.set()

    async def room(self) -> None:
        """Return once there is room for more."""
        await self._room.wait()

    async def run(self) -> None:
        """Send what is put in, for ever. Raises Overtaken, or MalhaError where a store is away."""
        while True:
            await self._something.wait()
            await self._clock.sleep(_EVERY)
            self._something.clear()
            async with self._sending:
                await self._send()
            self._room.set()

    async def check(self) -> None:
        """Raise Overtaken where another follower has published: for what only the leader may do."""
        async with self._sending:
            last, _ = await self._announcer.last()
            if last != self._fence:
                raise Overtaken

    async def _send(self) -> None:
        events, self._events = self._events[: self._ready], self._events[self._ready :]
        self._ready = 0
        moved, self._moved = self._moved, {}
        seen, records, self._records = self._seen, self._records, 0
        rows = [
            row_of(state, last, accepted_sequence=first, idle=self._idle)
            for state, last, first in moved.values()
        ]
        await self._table.upsert(rows, followed=self._told)
        if not self._confirmed and events:
            # Events under way together are fenced by consecutive sequences. Behind one that is confirmed
            # this is safe: whoever else leads from there publishes the very same events at the same places.
            self._fence = await self._announcer.publish(events[:1], fence=self._fence)
            self._confirmed = True
            del events[:1]
        self._fence = await self._announcer.publish(events, fence=self._fence)
        self._told = seen
        if not self._something.is_set():
            # else the next batch says it; once no event is kept any more, the table alone knows
            await self._table.upsert([], followed=seen)
        metrics.PLANNER_FOLLOWED.inc(records)
