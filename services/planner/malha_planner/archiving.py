"""The archivist: journals of runs that are over for a while leave the stream.

In this order, so that it can die anywhere and be done again: the journal is stored in the archive, on
disk; then `Archived` is appended to it, fenced, from which on every reader goes to the archive and no
late writer gets in; then its records are erased from the stream one by one. (A purge would leave their
bytes in the stream's files, where a later erasure could not find them any more.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from malha.api.run.v1.record_pb2 import Archived, JournalEvent, Record
from malha.clock import Clock
from malha.run import BrokenJournalError, Entry, Fenced, Journal, fold_whatever, is_archived
from malha.telemetry import metrics
from malha.telemetry.logs import log
from malha_planner.ports import Leadership, RunsTable, Shelf, Streams, Waker
from malha_planner.timestamps import stamp

_TICK = 2.0
_BATCH = 64
_AT_ONCE = 4


class Archivist:
    """A chore of the leading follower.

    Args:
        journal: the stream's own, without the archive behind it.
        waker: its clock is the stream's.
        after: how long after its last record a run is archived, by stored times.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        shelf: Shelf,
        table: RunsTable,
        streams: Streams,
        waker: Waker,
        clock: Clock,
        after: timedelta,
    ) -> None:
        self._journal = journal
        self._shelf = shelf
        self._table = table
        self._streams = streams
        self._waker = waker
        self._clock = clock
        self._after = after

    async def run(self, leadership: Leadership) -> None:
        """Archive for ever, a batch at a time. Raises Overtaken, or MalhaError where a store is away."""
        while True:
            await self._clock.sleep(_TICK)
            while await self.archive(leadership):
                pass

    async def archive(self, leadership: Leadership) -> int:
        """Archive the oldest runs whose time has come, at most 64; how many were."""
        moment = await self._waker.now() - self._after
        runs = await self._table.archivable(moment, told=leadership.told, limit=_BATCH)
        if not runs:
            return 0
        await leadership.check()
        moved = 0
        for start in range(0, len(runs), _AT_ONCE):
            outcomes = await asyncio.gather(*(self._move(*run) for run in runs[start : start + _AT_ONCE]))
            moved += sum(outcomes)
        metrics.PLANNER_ARCHIVED.inc(moved)
        return moved

    async def _move(self, tenant: str, run_id: str) -> bool:
        entries = await self._journal.load(tenant, run_id)
        if entries and is_archived(entries[-1].record):  # someone died half-way
            place = entries[-1].sequence
            entries = await self._shelf.entries(tenant, run_id)
        else:
            marked = await self._mark(tenant, run_id, entries)
            if marked is None:
                return False
            place = marked
        await self._streams.erase_records([entry.sequence for entry in entries])
        await self._table.archived(tenant, run_id, through=place)
        return True

    async def _mark(self, tenant: str, run_id: str, entries: Sequence[Entry]) -> int | None:
        """Store the journal and append `Archived`; its sequence, or None where the run is not to be moved."""
        try:
            state = fold_whatever(entries)
        except BrokenJournalError as error:
            log.error("journal_not_archived", run=run_id, error=str(error))
            return None
        if not state.final or state.dead or not await self._shelf.put(tenant, run_id, entries):
            return None
        archived = Record(
            tenant=tenant,
            run_id=run_id,
            events=[JournalEvent(archived=Archived(sequence=state.last_sequence))],
            written_at=stamp(self._clock.now()),
        )
        try:
            return (await self._journal.append(archived, expected=state.last_sequence)).sequence
        except Fenced:
            return None  # it went on, or another follower was first: the table will tell
