"""The archive behind the journal: what was moved there reads as if it had stayed.

A journal that is moved leaves one record in the stream, ``Archived``. It says where to look, and it keeps
the run's id taken: the fence refuses a late writer, and a request that comes again under an old
idempotency key finds its run and does not open a second one. So nobody needs to ask the archive about a
run that is not there, and accepting one needs nothing but the stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC
from typing import Protocol

from malha import errors
from malha.api.run.v1.archive_pb2 import ArchivedJournal, ArchivedRecord
from malha.api.run.v1.record_pb2 import Record
from malha.run.journal import Doorbell, Entry, Fenced, Journal

_LOOKS = 3


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
            theirs = await self._read(record.tenant, record.run_id, fenced.entries, expected)
        if not theirs:
            raise errors.unavailable("journal")  # what came first is being erased: soon the id is free
        raise Fenced(theirs)

    async def load(self, tenant: str, run_id: str, *, after: int = 0) -> list[Entry]:
        return await self._read(tenant, run_id, await self._journal.load(tenant, run_id, after=after), after)

    async def last_sequence(self, tenant: str, run_id: str) -> int:
        return await self._journal.last_sequence(tenant, run_id)

    def doorbell(self, tenant: str, run_id: str) -> AbstractAsyncContextManager[Doorbell]:
        return self._journal.doorbell(tenant, run_id)

    async def _read(self, tenant: str, run_id: str, entries: Sequence[Entry], after: int) -> list[Entry]:
        """What the entries that the stream has after a sequence stand for."""
        for _ in range(_LOOKS):
            if entries and is_archived(entries[-1].record):
                moved = await self._archive.entries(tenant, run_id)
                return [entry for entry in moved if entry.sequence > after]
            if not entries or after:
                return list(entries)
            if opens(entries[0].record) and not await self._moved_since(entries[-1]):
                return list(entries)
            # it was moved while it was read, or is being erased
            entries = await self._journal.load(tenant, run_id)
        return []

    async def _moved_since(self, last: Entry) -> bool:
        """Whether a journal that is over got longer: it is read record by record, so some may be missing."""
        record = last.record
        if not any(event.HasField("finished") for event in record.events):
            return False
        return await self._journal.last_sequence(record.tenant, record.run_id) != last.sequence


def opens(record: Record) -> bool:
    """Whether a journal begins with this record."""
    return bool(record.events) and record.events[0].HasField("accepted")


def is_archived(record: Record) -> bool:
    """Whether this record stands in place of a journal that was moved."""
    return bool(record.events) and record.events[0].HasField("archived")


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
