"""Journals behind the archive: packed and unpacked alike, and read as if they had stayed."""

from __future__ import annotations

import pytest
from hypothesis import given

from malha.api.run.v1.record_pb2 import Archived, Erased, JournalEvent, Record
from malha.errors import ErrorReason, MalhaError
from malha.run import Entry, Fenced, JournalWithArchive, erased_id, fold, pack, run_id_for, unpack
from malha.testing.journal import MemoryJournal
from malha.testing.journals import journals
from malha.testing.records import RecordsOf

RUN = RecordsOf("acme", "a" * 52)


class OneShelf:
    """An archive of one journal, which counts how often it is asked."""

    def __init__(self, entries: list[Entry]) -> None:
        self.kept = entries
        self.asked = 0

    async def entries(self, tenant: str, run_id: str) -> list[Entry]:
        self.asked += 1
        assert (tenant, run_id) == ("acme", "a" * 52)
        return self.kept


@given(journals())
def test_a_journal_is_the_same_after_packing(entries: list[Entry]) -> None:
    again = unpack(pack(entries).records)
    assert again == entries
    assert fold(again).last_sequence == fold(entries).last_sequence


async def moved() -> tuple[JournalWithArchive, OneShelf, list[Entry]]:
    """A journal of three records that was moved: the stream holds the one that says so."""
    kept = [
        Entry(sequence, (await MemoryJournal().append(RUN.accepted(), expected=0)).time, record, 1)
        for sequence, record in ((3, RUN.accepted()), (5, RUN.claimed(item=1)), (8, RUN.cancel()))
    ]
    stream = MemoryJournal()
    place = JournalEvent(archived=Archived(sequence=8))
    await stream.append(Record(tenant="acme", run_id="a" * 52, events=[place]), expected=0)
    shelf = OneShelf(kept)
    return JournalWithArchive(stream, shelf), shelf, kept


async def test_an_archived_journal_is_read_from_the_archive_without_the_record_that_says_so() -> None:
    journal, _, kept = await moved()
    assert await journal.load("acme", "a" * 52) == kept


async def test_a_first_record_for_an_archived_run_is_fenced_by_all_of_it() -> None:
    journal, _, kept = await moved()
    with pytest.raises(Fenced) as fenced:
        await journal.append(RUN.accepted(), expected=0)
    assert list(fenced.value.entries) == kept


async def test_the_archive_is_not_asked_about_runs_that_are_in_the_stream_or_nowhere() -> None:
    shelf = OneShelf([])
    journal = JournalWithArchive(MemoryJournal(), shelf)
    assert await journal.load("acme", "a" * 52) == []
    await journal.append(RUN.accepted(), expected=0)
    assert len(await journal.load("acme", "a" * 52)) == 1
    assert shelf.asked == 0


async def test_what_is_being_erased_is_not_there_and_its_id_is_not_free_yet() -> None:
    stream = MemoryJournal()
    await stream.append(RUN.cancel(), expected=0)  # its first records are gone already
    journal = JournalWithArchive(stream, OneShelf([]))
    assert await journal.load("acme", "a" * 52) == []
    with pytest.raises(MalhaError) as refused:
        await journal.append(RUN.accepted(), expected=0)
    assert refused.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE


async def test_the_record_of_an_erasure_is_no_run() -> None:
    stream = MemoryJournal()
    name = erased_id("acme", "a" * 52)
    event = JournalEvent(erased=Erased(by="ana", sequence=8))
    await stream.append(Record(tenant="acme", run_id=name, events=[event]), expected=0)
    assert await JournalWithArchive(stream, OneShelf([])).load("acme", name) == []


def test_the_name_of_an_erasure_depends_on_tenant_and_run_and_is_no_runs_own() -> None:
    names = {erased_id("acme", "a" * 52), erased_id("other", "a" * 52), erased_id("acme", "b" * 52)}
    assert len(names) == 3
    assert run_id_for("acme", "a" * 52) not in names
