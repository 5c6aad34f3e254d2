"""The timer: a run that nothing else will wake gets a hint when its time has come.

Parked runs at the time they wait for; runnable ones that stand still, because their hint or their worker
was lost. A hint too many is harmless, for the journal decides; so the timer keeps nothing: when a run is
due stands in the runs table, and a run that was reminded is due again later, and ever later, since a
queue that is merely full is no lost hint.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from malha.clock import Clock
from malha.telemetry import metrics
from malha_planner.ports import Due, Hint, RunsTable, Waker

_TICK = 0.5
_ROWS = 512
"""Runs reminded at one tick."""
_DOUBLINGS = 16


class Timer:
    """The leading follower's timer.

    Args:
        idle: after the first reminder a run is due again so much later, then after twice that, and so on.
        leads: raises Overtaken where another follower leads by now: a standby reminds nobody.
    """

    def __init__(
        self,
        table: RunsTable,
        waker: Waker,
        clock: Clock,
        *,
        idle: timedelta,
        leads: Callable[[], Awaitable[None]],
    ) -> None:
        self._table = table
        self._waker = waker
        self._clock = clock
        self._idle = idle
        self._leads = leads

    async def run(self) -> None:
        """Tick for ever. Raises Overtaken, or MalhaError where the queue is away."""
        while True:
            await self._clock.sleep(_TICK)
            await self.tick()

    async def tick(self) -> None:
        """Remind the runs that are due by the queue's own clock, those that are so the longest first."""
        now = await self._waker.now()
        due = await self._table.due(now, limit=_ROWS)
        if not due:
            return
        await self._leads()
        await self._waker.wake([_hint(run) for run in due])
        await self._table.reminded([(run, self._again(run, now)) for run in due])
        metrics.PLANNER_REMINDED.inc(len(due))

    def _again(self, run: Due, now: datetime) -> datetime:
        doublings: int = min(run.reminders, _DOUBLINGS)
        return now + self._idle * (1 << doublings)


def _hint(run: Due) -> Hint:
    name = f"{run.tenant}/{run.run_id}:{run.last_sequence}:due-{run.reminders}"
    return Hint(name, run.lane, run.tenant, run.run_id)
