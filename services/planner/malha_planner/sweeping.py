"""The sweep: money that is held for a run which is over, and which nobody settled, is paid at its ceiling.

Such a reservation is what is left where every other rule failed: its worker died between the answer and
the record, and the run ended without whoever knew of it. Nothing expires to free money, since the call may
have been made; so it is paid, provisionally, and reported. A true figure that arrives later corrects it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.cost.v1.cost_service_pb2 import HeldRun, Settlement, SettleRequest
from malha.clock import Clock
from malha.run import BrokenJournalError, Journal, fold_whatever
from malha.telemetry import metrics
from malha.telemetry.logs import log
from malha_planner.ports import Acting, HeldMoney, Leadership

_TICK = 60.0
_SECONDS = 10.0
_AT_ONCE = 64
"""Settlements of one request, by the contract."""


class Sweeper:
    """A chore of the leading follower.

    Args:
        journal: with the archive behind it.
        after: how long ago a run's last reservation was made, at least.
    """

    def __init__(
        self, *, journal: Journal, ledger: HeldMoney, acting: Acting, clock: Clock, after: timedelta
    ) -> None:
        self._journal = journal
        self._ledger = ledger
        self._acting = acting
        self._clock = clock
        self._after = after

    async def run(self, leadership: Leadership) -> None:
        """Sweep for ever. Raises Overtaken, or MalhaError where a service or a store is away."""
        while True:
            await self._clock.sleep(min(_TICK, self._after.total_seconds()))
            await self.sweep(leadership)

    async def sweep(self, leadership: Leadership) -> int:
        """Settle what is held for runs that are over; how many reservations there were."""
        over = [run for run in await self._held() if await self._is_over(run)]
        if not over:
            return 0
        await leadership.check()
        for run in over:
            await self._settle(run)
        return sum(len(run.keys) for run in over)

    async def _held(self) -> list[HeldRun]:
        """All of them: runs that go on, or that people look into, must hide none that is over."""
        held: list[HeldRun] = []
        skip, more = 0, True
        while more:
            with self._acting(Principal(subject="planner"), timeout=_SECONDS):
                page = await self._ledger.held(self._after, skip=skip)
            held += page.runs
            skip, more = page.next, page.next > skip
        return held

    async def _is_over(self, held: HeldRun) -> bool:
        entries = await self._journal.load(held.tenant, held.run_id)
        if not entries:
            return True  # erased, which only a run that is over can be
        try:
            return fold_whatever(entries).final
        except BrokenJournalError:
            return False  # people look into it

    async def _settle(self, held: HeldRun) -> None:
        keys: Sequence[str] = held.keys
        for start in range(0, len(keys), _AT_ONCE):
            settle = [Settlement(key=key, at_ceiling=True) for key in keys[start : start + _AT_ONCE]]
            with self._acting(Principal(tenant=held.tenant, subject="planner"), timeout=_SECONDS):
                await self._ledger.settle(SettleRequest(settle=settle))
        metrics.PLANNER_SWEPT.inc(len(keys))
        log.error(
            "reservations_swept",
            run=held.run_id,
            tenant=held.tenant,
            keys=len(keys),
            microusd=held.reserved_microusd,
        )
