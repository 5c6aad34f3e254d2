"""One's hold on a work item: what is said of it, for as long as nobody else can have it.

The queue gives an item to someone else once its lease is over, and heeds an acknowledgement all the same:
it would take the item from under its next owner, and only the timer would find the run again. A process
that stood still knows that it did when it goes on, and says nothing more. Whoever has the item by then
finds in the journal what there is to do.
"""

from __future__ import annotations

from malha.clock import Clock
from malha_planner.ports import WorkItem


class Hold:
    """A delivered item, from its delivery on.

    Args:
        clock: monotonic time.
        ack_wait: seconds after which the queue gives the item to someone else.
    """

    def __init__(self, item: WorkItem, clock: Clock, ack_wait: float) -> None:
        self._item = item
        self._clock = clock
        self._ack_wait = ack_wait
        self._kept_at = clock.monotonic()
        self._lapsed = False

    async def keep(self) -> None:
        """Have the lease last from now on; what was over stays over."""
        self._lapsed = self._over()
        self._kept_at = self._clock.monotonic()
        await self._item.in_progress()

    async def ack(self) -> None:
        """There is nothing more to do about it."""
        if not self._over():
            await self._item.ack()

    async def give_back(self) -> None:
        """Let somebody else have it at once."""
        if not self._over():
            await self._item.give_back()

    def _over(self) -> bool:
        return self._lapsed or self._clock.monotonic() - self._kept_at > self._ack_wait
