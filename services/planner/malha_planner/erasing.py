"""Erasing a run: what was asked for is kept until no byte of the run is left.

The leading follower alone erases, one run after another, from a request on disk that says all it needs;
so an erasure that was interrupted goes on by itself, and whoever asked may ask again. What is left is one
record under a hash of the run's id: who had it erased, and when. Each step may be done twice.
"""

from __future__ import annotations

import asyncio

from malha.api.planner.v1.erasure_pb2 import Erasure
from malha.api.run.v1.record_pb2 import Erased, JournalEvent, Record
from malha.clock import Clock
from malha.errors import MalhaError
from malha.run import Fenced, Journal, alert_id, erased_id
from malha.telemetry import metrics
from malha.telemetry.logs import log
from malha.timestamps import stamp
from malha_planner.alerting import RUNAWAY
from malha_planner.ports import (
    Acting,
    Disk,
    Effects,
    Erasures,
    Leadership,
    RunsTable,
    Shelf,
    Streams,
)

_TICK = 0.2
_SOON = 0.02
_BATCH = 16
_EFFECTS_SECONDS = 30.0


class Eraser:
    """A chore of the leading follower.

    Args:
        journal: the stream's own, without the archive behind it.
        recording: held while an erasure is recorded; no alert about a run is written meanwhile.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        shelf: Shelf,
        erasures: Erasures,
        table: RunsTable,
        streams: Streams,
        effects: Effects,
        acting: Acting,
        recording: asyncio.Lock,
        disk: Disk,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._shelf = shelf
        self._erasures = erasures
        self._table = table
        self._streams = streams
        self._effects = effects
        self._acting = acting
        self._recording = recording
        self._disk = disk
        self._clock = clock
        self._queue_clear = False
        self._after: Erasure | None = None

    async def run(self, leadership: Leadership) -> None:
        """Erase what is asked for, for ever. Raises Overtaken, or MalhaError where the journal is away."""
        await self._disk.scour([])
        while True:
            await self._clock.sleep(_SOON if await self.erase(leadership) else _TICK)

    async def erase(self, leadership: Leadership) -> bool:
        """Erase the runs that are asked for, as far as all of them was announced before.

        Returns:
            Whether to look again at once.
        """
        asked = await self._erasures.asked(after=self._after, limit=_BATCH)
        # those that wait for something must not stand before all others: the next look goes on behind them
        self._after = asked[-1] if len(asked) == _BATCH else None
        if asked:
            await leadership.check()
        done = []
        waiting = False
        for erasure in asked:
            # what is gone from the stream was announced before: whoever erased it made sure
            if leadership.told < erasure.through and await self._streams.holds(erasure.through):
                continue
            try:
                if await self._erase(erasure, leadership):
                    done.append(erasure)
            except MalhaError as error:
                waiting = True  # for a service; it must not stop the others
                log.warning("erasure_waits", tenant=erasure.tenant, reason=error.reason_name)
        if done:
            for erasure in done:
                await self._erasures.done(erasure)
            await self._disk.scour([erasure.run_id for erasure in done])
            metrics.PLANNER_ERASED.inc(len(done))
        self._queue_clear = not done and (self._queue_clear or await self._streams.clear_queue())
        return bool(asked) and not waiting

    async def _erase(self, erasure: Erasure, leadership: Leadership) -> bool:
        """Whether the run is gone; False where its erasure is still to be announced."""
        tenant, run_id, through = erasure.tenant, erasure.run_id, erasure.through
        with self._acting(erasure.principal, timeout=_EFFECTS_SECONDS):
            await self._effects.erase(run_id)
        await self._streams.erase_records(erasure.sequences)
        await self._shelf.remove(tenant, run_id, through=through)
        await self._table.remove(tenant, run_id, through=through)
        # An event carries the follower's position, so the last one must stay: first a later one is told.
        async with self._recording:
            recorded = await self._record(erasure)
        if recorded > leadership.told:
            return False
        await self._streams.erase_events(erasure.sequences)
        await self._erase_alert(tenant, run_id)
        return True

    async def _erase_alert(self, tenant: str, run_id: str) -> None:
        """What people were told of the run's spending names it."""
        sequences = [
            entry.sequence for entry in await self._journal.load(tenant, alert_id(tenant, RUNAWAY, run_id))
        ]
        await self._streams.erase_events(sequences)
        await self._streams.erase_records(sequences)

    async def _record(self, erasure: Erasure) -> int:
        """The sequence of the record that says what was done; written once."""
        name = erased_id(erasure.tenant, erasure.run_id)
        told = Erased(by=erasure.principal.subject, sequence=erasure.through)
        while True:
            before = await self._journal.load(erasure.tenant, name)
            if before and before[-1].record.events[0].erased.sequence >= told.sequence:
                return before[-1].sequence
            record = Record(
                tenant=erasure.tenant,
                run_id=name,
                events=[JournalEvent(erased=told)],
                written_at=stamp(self._clock.now()),
            )
            try:
                entry = await self._journal.append(record, expected=before[-1].sequence if before else 0)
            except Fenced:
                continue
            return entry.sequence
