"""The archive behind the journal: what was moved there reads as if it had stayed.

A journal that was moved leaves nothing in the stream, so a run that is not there may be in the archive,
and the archive is asked: before an idempotency key opens a run, and whenever a run is read that the
stream does not know. A late writer needs no asking: the fence that it names is gone with the records.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from datetime import UTC
from typing import Protocol

from malha import errors
from malha.api.run.v1.archive_pb2 import ArchivedJournal, ArchivedRecord
from malha.api.run.v1.record_pb2 import Record
from malha.run.journal import Doorbell, Entry, Fenced, Journal

_LOOKS = 3
_ENDS = ("finished", "dropped")


class Archive(Protocol):
    """Where journals of runs that are over are kept."""

    async def entries(self, tenant: str, run_id: str) -> list[Entry]:
        """The run's records in order; empty for a run that is not there.

        Raises MalhaError DEPENDENCY_UNAVAILABLE when the archive is away.
        """
        ...


class JournalWithArchive:
    """``malha.run.Journal`` over the stream's journal and the archive behind it."""

    def __init__(self, journal: Journal, archive: Archive) -> None:
        self._journal = journal
        self._archive = archive

    async def append(self, record: Record, *, expected: int) -> Entry:
        try:
            return await self._journal.append(record, expected=expected)
        except Fenced as fenced:
            theirs = list(fenced.entries)
        if not theirs or not (expected or opens(theirs[0].record)):
            moved = await self._archive.entries(record.tenant, record.run_id)
            if not moved:
                raise errors.unavailable("journal")  # it is being erased, or was: soon the id is free
            theirs = [entry for entry in moved if entry.sequence > expected]
        raise Fenced(theirs)

    async def load(self, tenant: str, run_id: str, *, after: int = 0) -> list[Entry]:
        entries = await self._journal.load(tenant, run_id, after=after)
        if after:
            return entries  # the caller read its beginning, so it is no run that was moved long ago
        for _ in range(_LOOKS):
            if entries and opens(entries[0].record) and not await self._moved_since(entries[-1]):
                break
            moved = await self._archive.entries(tenant, run_id)
            if moved or not entries:
                return moved
            # the archive does not know it yet, or it is being erased
            entries = await self._journal.load(tenant, run_id)
        else:
            return []
        return entries

    async def last_sequence(self, tenant: str, run_id: str) -> int:
        return await self._journal.last_sequence(tenant, run_id)

    def doorbell(self, tenant: str, run_id: str) -> AbstractAsyncContextManager[Doorbell]:
        return self._journal.doorbell(tenant, run_id)

    async def _moved_since(self, last: Entry) -> bool:
        """Whether the last record of a journal that is over has gone: a journal is read record by record,
        and moved away its first record first, its last one next, so between them some may be missing."""
        record = last.record
        if not any(event.WhichOneof("event") in _ENDS for event in record.events):
            return False
        return await self._journal.last_sequence(record.tenant, record.run_id) != last.sequence


def opens(record: Record) -> bool:
    """Whether a journal begins with this record."""
    return bool(record.events) and record.events[0].HasField("accepted")


def pack(entries: Iterable[Entry]) -> ArchivedJournal:
    """A journal as one piece."""
    journal = ArchivedJournal()
    for entry in entries:
        packed = journal.records.add(sequence=entry.sequence, record=entry.record.SerializeToString())
        packed.time.FromDatetime(entry.time)
    return journal


def unpack(records: Iterable[ArchivedRecord]) -> list[Entry]:
    """The entries that were packed, the same in every field."""
    return [
        Entry(
            packed.sequence,
            packed.time.ToDatetime(tzinfo=UTC),
            Record.FromString(packed.record),
            len(packed.record),
        )
        for packed in records
    ]
