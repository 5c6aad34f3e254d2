"""The archivist: journals of runs that are over for a while leave the stream.

In this order, so that it can die anywhere and be done again: the journal is stored in the archive, on
disk; then its records are erased from the stream, the first before all others, for a journal without its
beginning sends every reader to the archive. (A purge would leave their bytes in the stream's files,
where a later erasure could not find them any more.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from malha.clock import Clock
from malha.run import BrokenJournalError, Entry, Journal, fold_whatever, opens
from malha.telemetry import metrics
from malha.telemetry.logs import log
from malha_planner.ports import Leadership, RunsTable, Shelf, Streams, Waker

_TICK = 2.0
_BATCH = 64
_AT_ONCE = 4
_ALL = 2**63 - 1


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
        if entries and opens(entries[0].record) and not await self._stored(tenant, run_id, entries):
            return False
        kept = await self._shelf.entries(tenant, run_id)
        if not kept:
            # said once, and not looked for again: it must not stand before those that can be archived
            log.error("journal_lost", run=run_id)
            await self._table.archived(tenant, run_id, through=_ALL)
            return False
        await self._streams.erase_records([entry.sequence for entry in kept])
        await self._table.archived(tenant, run_id, through=kept[-1].sequence)
        return True

    async def _stored(self, tenant: str, run_id: str, entries: Sequence[Entry]) -> bool:
        """Whether the journal is in the archive now; not where the run is not to be moved."""
        try:
            state = fold_whatever(entries)
        except BrokenJournalError as error:
            log.error("journal_not_archived", run=run_id, error=str(error))
            return False
        if not state.final or state.dead:
            return False  # it went on; the table will tell
        return await self._shelf.put(tenant, run_id, entries)
