"""What the follower reads, tells and keeps, and what only the leader may do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from malha.api.planner.v1.planner_service_pb2 import RunRow
from malha.run import Entry, Position
from malha_planner.ports.queueing import Due


@dataclass(frozen=True, slots=True)
class Row:
    """A run in the runs table: what a caller sees, and what the table needs to keep it right."""

    tenant: str
    last_sequence: int
    accepted_sequence: int
    updated: datetime
    """Stored time of its last record."""
    lane: str
    row: RunRow
    due: datetime | None = None
    """When it wants a hint if nothing happened to it until then; None: never."""


class RecordFeed(Protocol):
    """All runs' records, in the order they were stored."""

    def after(self, sequence: int) -> AbstractAsyncContextManager[AsyncIterator[list[Entry]]]:
        """Batches of records after a sequence, as they come, without end.

        Iterating raises MalhaError DEPENDENCY_UNAVAILABLE where the feed broke: open it anew.
        """

    async def last(self) -> int:
        """The sequence of the last record of all; 0 for none."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """One event to publish."""

    tenant: str
    type: str
    position: Position
    body: bytes
    """A CloudEvent in JSON."""


class Overtaken(Exception):  # noqa: N818 - no fault: of two leaders one loses
    """Another follower published first: it leads."""


class Announcer(Protocol):
    """Where events are published, each after the one before and nobody else's between."""

    async def last(self) -> tuple[int, Position]:
        """The fence (sequence of the last event, 0 for none) and the position it announced.

        Position(0, 0) where there is none, or where it is too old to be kept.
        """

    async def publish(self, events: Sequence[Announcement], *, fence: int) -> int:
        """Publish in order after the fence; the new fence. Raises Overtaken."""


class Presence(Protocol):
    """What followers tell one another about who leads. Words may be lost: the fence on the events decides."""

    async def lead(self) -> None:
        """Say that this one leads; to be said again and again. Never raises."""

    async def leave(self) -> None:
        """Say that this one leads no more, so that nobody waits for its silence. Never raises."""

    async def led(self, within: float) -> bool:
        """Whether anyone says in so many seconds that it leads; False at once where one leaves."""


class RunsTable(Protocol):
    """What is known of every run without reading its journal."""

    async def upsert(self, rows: Sequence[Row], *, followed: int) -> None:
        """Write rows that are newer than what is there; remember how far all was announced."""

    async def followed(self) -> int:
        """The sequence up to which all was announced when the table was last written; 0 at first."""

    async def due(self, moment: datetime, *, limit: int) -> list[Due]:
        """Open runs whose time has come by the moment, the longest due first."""

    async def reminded(self, runs: Sequence[tuple[Due, datetime]]) -> None:
        """Each run got a hint and is due again at the time beside it, unless it moved on meanwhile."""

    async def archivable(self, moment: datetime, *, told: int, limit: int) -> list[tuple[str, str]]:
        """(tenant, run id) of runs that ended by the moment and whose journals are not archived, the oldest
        first; of those whose last record is at most `told`."""

    async def archived(self, tenant: str, run_id: str, *, through: int) -> None:
        """The run's records through that sequence are in the archive and gone from the stream."""

    async def remove(self, tenant: str, run_id: str, *, through: int) -> None:
        """Forget the run, and refuse its row from now on unless it has a record after that sequence."""

    async def page(
        self, tenant: str, where: Mapping[str, str], *, before: int | None, limit: int
    ) -> list[tuple[int, RunRow]]:
        """(accepted sequence, row) of a tenant's runs, newest first, accepted before a sequence.

        `where` holds equalities on status, agent and session_id.
        """

    async def dead(self, tenant: str, *, before: int | None, limit: int) -> list[tuple[int, str, RunRow]]:
        """(accepted sequence, tenant, row) of the dead runs of a tenant, or of all for "", newest first."""


class Leadership(Protocol):
    """One follower's time as the leader."""

    @property
    def told(self) -> int:
        """The sequence up to which everything is in the table and announced."""

    async def check(self) -> None:
        """Raise Overtaken where another follower leads by now."""


class Chore(Protocol):
    """Something that only the leader may do."""

    async def run(self, leadership: Leadership) -> None:
        """Do it for ever. Raises Overtaken, or MalhaError where a store is away."""
