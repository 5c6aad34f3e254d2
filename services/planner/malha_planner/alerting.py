"""Alerts of the ledger become records of the journal, and so announced events.

Events stand behind one fence, in the order of the journal, so that two followers would publish the very
same ones at the same places; what else is to be announced must be in the journal, too. A record under the
alert's id is written once, whoever tries, and the follower announces it as it does all others. Then the
ledger is told so, and the record leaves the stream; one about a run stays, so that it is found when the
run is erased. One is not written while an erasure is recorded: each would miss the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.cost.v1.cost_service_pb2 import AlertName
from malha.api.event.v1.alert_pb2 import Alert
from malha.api.run.v1.record_pb2 import JournalEvent, Record
from malha.clock import Clock
from malha.run import Fenced, Journal, erased_id
from malha.timestamps import stamp
from malha_planner.ports import Acting, Alerts, Leadership, Streams

RUNAWAY = "runaway_run"
"""The type of alerts about one run; with the run it makes their ids."""
_TICK = 2.0
_LOOK = 0.05
_SECONDS = 10.0


class Alerter:
    """A chore of the leading follower.

    Args:
        journal: the stream's own, without the archive behind it.
        recording: held by the one of alerter and eraser that writes, from its look to its record.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        alerts: Alerts,
        streams: Streams,
        acting: Acting,
        recording: asyncio.Lock,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._alerts = alerts
        self._streams = streams
        self._acting = acting
        self._recording = recording
        self._clock = clock

    async def run(self, leadership: Leadership) -> None:
        """Announce for ever. Raises Overtaken, or MalhaError where a service or a store is away."""
        while True:
            await self._clock.sleep(0.0 if await self.announce(leadership) else _TICK)

    async def announce(self, leadership: Leadership) -> bool:
        """Announce what the ledger holds; whether there was anything."""
        with self._acting(Principal(subject="planner"), timeout=_SECONDS):
            untold = await self._alerts.untold()
        if not untold:
            return False
        await leadership.check()
        sequences = [await self._record(alert) for alert in untold]
        while leadership.told < max(sequences):
            await self._clock.sleep(_LOOK)
        names = [AlertName(tenant=alert.tenant, id=alert.id) for alert in untold]
        with self._acting(Principal(subject="planner"), timeout=_SECONDS):
            await self._alerts.told(names)
        await self._clear(untold, sequences)
        return True

    async def _record(self, alert: Alert) -> int:
        """The sequence of the alert's record; zero for one about a run that was erased meanwhile."""
        async with self._recording:
            if alert.run_id and await self._journal.load(alert.tenant, erased_id(alert.tenant, alert.run_id)):
                return 0
            record = Record(
                tenant=alert.tenant,
                run_id=alert.id,
                events=[JournalEvent(alerted=alert)],
                written_at=stamp(self._clock.now()),
            )
            try:
                return (await self._journal.append(record, expected=0)).sequence
            except Fenced as fenced:
                return fenced.entries[-1].sequence

    async def _clear(self, alerts: Sequence[Alert], sequences: Sequence[int]) -> None:
        for alert, sequence in zip(alerts, sequences, strict=True):
            if sequence and not alert.run_id:
                await self._streams.erase_records([sequence])
