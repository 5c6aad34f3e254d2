"""Where items go that wait for something other than their turn: they take no slot meanwhile.

A run that waits for money keeps its claim, and needs nothing but to ask again. If it kept its slot, too,
a tenant without money would hold up all others; and the runs that hold the money, whose worker died, could
not be taken over by anyone: what is waited for would wait for those who wait.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from malha.errors import ErrorReason, MalhaError
from malha.telemetry import metrics
from malha_planner.lanes import Lane, Lanes

_FOR_EACH_SLOT = 16


class WaitingRoom:
    """Items out of their slots: at most sixteen for each slot there is.

    Args:
        lanes: what the slots are taken from.
        freed: called when a slot came free.
    """

    def __init__(self, lanes: Lanes, freed: Callable[[], Awaitable[None]]) -> None:
        self._lanes = lanes
        self._freed = freed
        self._returning: defaultdict[Lane, deque[asyncio.Future[None]]] = defaultdict(deque)
        self.inside = 0
        """How many are out of their slots, those included that wait for one again."""

    @asynccontextmanager
    async def out(self, lane: Lane) -> AsyncIterator[None]:
        """An item of the lane takes no slot within the block, and one again after it.

        A block that ends well waits for its slot. One that ends otherwise has its slot at once, even beyond
        what there is: who is interrupted has something to put in order.

        Raises:
            MalhaError: OVERLOADED, before the block, where too many are out already.
        """
        if self.inside >= _FOR_EACH_SLOT * self._lanes.slots:
            raise MalhaError(ErrorReason.ERROR_REASON_OVERLOADED, "too many runs wait already")
        self._counted(1)
        self._lanes.free(lane)
        back = False
        try:
            await self._freed()
            yield
            await self._slot(lane)
            back = True
        finally:
            self._counted(-1)
            if not back:
                self._lanes.occupy(lane)

    def admit(self) -> bool:
        """Give a free slot to one who comes back; whether there was one, and room.

        Lanes take turns, and of each the longest waiting is first.
        """
        for lane in list(self._returning):
            waiting = self._returning[lane]
            while waiting and waiting[0].cancelled():
                waiting.popleft()
            if waiting and self._lanes.retake(lane):
                waiting.popleft().set_result(None)
                del self._returning[lane]
                if waiting:
                    self._returning[lane] = waiting  # its next turn is after those of the others
                return True
            if not waiting:
                del self._returning[lane]
        return False

    def _counted(self, more: int) -> None:
        self.inside += more
        metrics.PLANNER_RESTING.set(self.inside)

    async def _slot(self, lane: Lane) -> None:
        if lane not in self._returning and self._lanes.retake(lane):
            return
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._returning[lane].append(given)
        try:
            await given
        except asyncio.CancelledError:
            if not given.cancelled():
                self._lanes.free(lane)  # the slot came together with the cancellation
            raise
