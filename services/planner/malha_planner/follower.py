"""The follower: what happened to runs becomes rows, hints and announced facts.

It reads the journal of all runs in order and does three things for each record, all of which may be
done twice: a hint has a name that the queue knows, a row is written only if newer, an event is fenced
by its place in the stream of events. The last event carries the position it came from, so a follower
that begins reads from there: nothing is lost between two writes, and no accept needs a second write.

One leads; the fence decides who. The leader says so several times in the seconds after which a standby
takes its silence for its death, and says so when it leaves.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from malha.clock import Clock
from malha.errors import MalhaError
from malha.run import (
    BrokenJournalError,
    Entry,
    Journal,
    Position,
    RunState,
    alerted,
    erasure,
    fold_whatever,
    goes_on,
    lane_of,
    wakes,
    without_content,
)
from malha.tasks import end
from malha.telemetry import metrics
from malha.telemetry.logs import log
from malha_planner.outbox import Outbox
from malha_planner.ports import (
    Announcer,
    Chore,
    Hint,
    Overtaken,
    Presence,
    RecordFeed,
    RunsTable,
    Waker,
)
from malha_planner.timer import Timer

_STATES = 20_000
"""Open runs whose fold is kept; others, and all that are parked, are read again when they move."""
_SIDE_BY_SIDE = 32
_PAUSE = 0.25
_WORDS = 4
"""How often a leader speaks in the time in which it may not be silent."""
_REST = 2.0

_Where: TypeAlias = tuple[str, str]
"""Tenant and run."""


@dataclass(slots=True)
class _Known:
    """An open run as followed so far."""

    state: RunState
    accepted_sequence: int


class Follower:
    """Leads or stands by, for as long as `run` runs."""

    def __init__(
        self,
        *,
        journal: Journal,
        feed: RecordFeed,
        announcer: Announcer,
        waker: Waker,
        presence: Presence,
        table: RunsTable,
        clock: Clock,
        ack_wait: float,
        lead_every: float,
        chores: Sequence[Chore] = (),
    ) -> None:
        self._journal = journal
        self._feed = feed
        self._announcer = announcer
        self._waker = waker
        self._presence = presence
        self._table = table
        self._clock = clock
        self._idle = timedelta(seconds=3 * ack_wait)
        self._lead_every = lead_every
        self._chores = chores
        self._known: OrderedDict[_Where, _Known] = OrderedDict()

    @property
    def kept(self) -> int:
        """Runs whose fold is in memory."""
        return len(self._known)

    async def run(self) -> None:
        """Lead; when overtaken stand by; lead again when the leader falls silent."""
        while True:
            try:
                await self.lead()
            except Overtaken:
                log.info("follower_stands_by")
                while await self._presence.led(self._lead_every):
                    pass
            except MalhaError as error:
                log.warning("follower_stopped", reason=error.reason_name)
                await self._clock.sleep(_PAUSE)
            except Exception as error:
                log.exception("follower_failed", error=type(error).__name__)
                await self._clock.sleep(_PAUSE)

    async def lead(self) -> None:
        """Follow from the last announced position until that fails. Raises Overtaken or MalhaError."""
        self._known.clear()
        fence, announced = await self._announcer.last()
        # The table may be behind the events, or lost; and where no event is kept any more it knows better.
        begin = await self._table.followed()
        if begin > await self._feed.last():
            begin = 0  # the stream was lost or set back, and what it holds now was never followed
        if announced.sequence:
            begin = min(begin, announced.sequence - 1)
        outbox = Outbox(
            self._announcer,
            self._table,
            self._clock,
            fence=fence,
            announced=announced,
            told=begin,
            idle=self._idle,
        )
        timer = Timer(self._table, self._waker, self._clock, idle=self._idle, leads=outbox.check)
        parts = [
            asyncio.create_task(self._follow(outbox, announced, begin)),
            asyncio.create_task(outbox.run()),
            asyncio.create_task(timer.run()),
            *(asyncio.create_task(self._keep_doing(chore, outbox)) for chore in self._chores),
            asyncio.create_task(self._say_so()),
        ]
        try:
            ended, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in ended:
                part.result()
        except asyncio.CancelledError:
            await self._presence.leave()
            raise
        finally:
            await end(*parts)
            metrics.PLANNER_LEADING.set(0)

    async def _keep_doing(self, chore: Chore, outbox: Outbox) -> None:
        """A chore that fails is begun again after a rest; runs do not wait for it."""
        while True:
            try:
                await chore.run(outbox)
            except Overtaken:
                raise
            except Exception as error:
                log.warning("chore_failed", chore=type(chore).__name__, error=type(error).__name__)
                await self._clock.sleep(_REST)

    async def _say_so(self) -> None:
        while True:
            await self._presence.lead()
            await self._clock.sleep(self._lead_every / _WORDS)

    async def _follow(self, outbox: Outbox, announced: Position, begin: int) -> None:
        async with self._feed.after(begin) as batches:
            metrics.PLANNER_LEADING.set(1)
            async for batch in batches:
                await self._digest(batch, outbox, announced)
                await outbox.room()

    async def _digest(self, batch: Sequence[Entry], outbox: Outbox, announced: Position) -> None:
        hints: list[Hint] = []
        journals = await self._journals(batch)
        for entry in batch:
            if (erased := erasure(entry)) is not None:
                outbox.tell(entry, [erased])
                continue
            if (alert := alerted(entry)) is not None:
                outbox.alert(entry, alert)
                continue
            try:
                known, wake = await self._fold(entry, journals)
            except BrokenJournalError as error:
                # one broken run must not stop all others, nor who waits until all was told
                _alarm(entry, str(error))
                outbox.tell(entry, [])
                continue
            state = known.state
            if state.broken and state.finished_at == entry.time:
                _alarm(entry, state.broken)
            outbox.put(entry, state, accepted_sequence=known.accepted_sequence)
            if wake and entry.sequence >= announced.sequence:  # before that, its events tell, it was woken
                name = f"{state.tenant}/{state.run_id}:{entry.sequence}"
                accepted = entry.sequence if _only_begins(entry) else 0
                hints.append(Hint(name, lane_of(state.accepted), state.tenant, state.run_id, accepted))
            if state.final or not goes_on(state):  # who waits holds nothing
                self._known.pop((state.tenant, state.run_id), None)
        await self._waker.wake(hints)
        outbox.woken()

    async def _journals(self, batch: Sequence[Entry]) -> dict[_Where, list[Entry]]:
        """Of the runs that moved and are not kept. Side by side: when many that waited go on at once, reading
        one after the other would hold up all the rest."""
        moved = dict.fromkeys(_where(entry) for entry in batch if not _alone(entry))
        begun = {_where(entry) for entry in batch if _begins(entry)}
        strange = [where for where in moved if where not in self._known and where not in begun]
        found: dict[_Where, list[Entry]] = {}
        for start in range(0, len(strange), _SIDE_BY_SIDE):
            some = strange[start : start + _SIDE_BY_SIDE]
            journals = await asyncio.gather(*(self._journal.load(*where) for where in some))
            found.update(zip(some, journals, strict=True))
        return found

    async def _fold(self, entry: Entry, journals: Mapping[_Where, list[Entry]]) -> tuple[_Known, bool]:
        """The run after the record, and whether the record wakes a worker."""
        where = _where(entry)
        known = self._known.get(where)
        for event in entry.record.events:
            event.ClearField("content")  # so that what is kept stays small
        if known is None:
            before = [without_content(one) for one in await self._earlier(entry, journals)]
            state = fold_whatever(before) if before else None
            wake = wakes(entry.record, state)
            known = _Known(fold_whatever([entry], state), before[0].sequence if before else entry.sequence)
            self._known[where] = known
            if len(self._known) > _STATES:
                self._known.popitem(last=False)
            return known, wake
        wake = wakes(entry.record, known.state)
        fold_whatever([entry], known.state)
        self._known.move_to_end(where)
        return known, wake

    async def _earlier(self, entry: Entry, journals: Mapping[_Where, list[Entry]]) -> list[Entry]:
        """The run's records before this one; the usual first record needs no look."""
        if _begins(entry):
            return []
        where = _where(entry)
        entries = journals[where] if where in journals else await self._journal.load(*where)
        return [one for one in entries if one.sequence < entry.sequence]


def _where(entry: Entry) -> _Where:
    return entry.record.tenant, entry.record.run_id


def _alone(entry: Entry) -> bool:
    return erasure(entry) is not None or alerted(entry) is not None


def _begins(entry: Entry) -> bool:
    return any(event.HasField("accepted") for event in entry.record.events)


def _only_begins(entry: Entry) -> bool:
    return len(entry.record.events) == 1 and _begins(entry)


def _alarm(entry: Entry, fault: str) -> None:
    metrics.PLANNER_BROKEN.inc()
    log.error("journal_broken", run=entry.record.run_id, tenant=entry.record.tenant, error=fault)
