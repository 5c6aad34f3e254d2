"""A work item that keeps what is said of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from malha.errors import ErrorReason, MalhaError


@dataclass
class MemoryItem:
    """A work item that keeps what is said of it."""

    tenant: str
    run_id: str
    item: int = 1
    delivery: int = 1
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    accepted: int = 0
    still_queued: set[int] = field(default_factory=set)
    acks: int = 0
    beats: int = 0
    given_back: int = 0
    rests: int = 0
    crowded: bool = False
    """Whether too many rest already."""

    @asynccontextmanager
    async def resting(self) -> AsyncIterator[None]:
        if self.crowded:
            raise MalhaError(ErrorReason.ERROR_REASON_OVERLOADED, "too many runs wait already")
        self.rests += 1
        yield

    async def ack(self) -> None:
        self.acks += 1

    async def in_progress(self) -> None:
        self.beats += 1

    async def give_back(self) -> None:
        self.given_back += 1

    async def queued(self, item: int) -> bool:
        return item in self.still_queued

    @property
    def silent(self) -> bool:
        """Nothing was sent for it."""
        return self.acks == self.beats == self.given_back == 0
