"""The queue of work: hints that a run may be runnable, and those who put them there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Hint:
    """A run that may be runnable."""

    name: str
    """What makes it the same hint as another."""
    lane: str
    tenant: str
    run_id: str
    accepted: int = 0
    """Sequence of the run's first record, if that is what the hint was made for."""


@dataclass(frozen=True, slots=True)
class Due:
    """A run whose time has come."""

    tenant: str
    run_id: str
    lane: str
    last_sequence: int
    reminders: int
    """How many hints it got since that record."""


class WorkItem(Protocol):
    """One delivery of a hint that a run may be runnable. Only the journal knows whether it is."""

    @property
    def tenant(self) -> str: ...

    @property
    def run_id(self) -> str: ...

    @property
    def item(self) -> int:
        """The hint's sequence in the queue; equal for all its deliveries."""

    @property
    def delivery(self) -> int:
        """Counts from 1."""

    @property
    def time(self) -> datetime:
        """When the queue stored the hint, by the broker's clock."""

    @property
    def accepted(self) -> int:
        """As the hint's; 0 from a follower of the version before."""

    async def ack(self) -> None:
        """Delete the hint. A fenced worker must not: it would delete it from under the new owner."""

    async def in_progress(self) -> None:
        """Start the lease anew."""

    async def give_back(self) -> None:
        """Have it delivered again at once, to whoever asks. A fenced worker must not."""

    def resting(self) -> AbstractAsyncContextManager[None]:
        """For a block that only waits: the item is still ours, and takes none of the slots for work.

        At its end a slot is waited for. Raises MalhaError OVERLOADED before it where too many rest.
        """
        ...

    async def queued(self, item: int) -> bool:
        """Whether another hint, by its sequence, is still in the queue, delivered or not."""


class Waker(Protocol):
    """Puts hints into the work queue."""

    async def wake(self, hints: Sequence[Hint]) -> None:
        """Queue each hint once: a name used within the last two minutes is not queued again."""

    async def now(self) -> datetime:
        """The time by the clock that stamps the hints, which is the one a parked run is due by."""
