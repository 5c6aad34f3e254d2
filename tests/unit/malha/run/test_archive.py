"""Journals behind the archive: packed and unpacked alike, and read as if they had stayed."""

from __future__ import annotations

import pytest
from hypothesis import given

from malha.api.run.v1.record_pb2 import Erased, FinalStatus, JournalEvent, Record
from malha.errors import ErrorReason, MalhaError
from malha.run import Entry, Fenced, JournalWithArchive, erased_id, fold, pack, run_id_for, unpack
from malha.testing.journal import MemoryJournal
from malha.testing.journals import journals, stored
from malha.testing.records import RecordsOf, finished

RUN = RecordsOf("acme", "a" * 52)


class OneShelf:
    """An archive of one journal, which counts how often it is asked."""

    def __init__(self, entries: list[Entry]) -> None:
        self.kept = entries
        self.asked = 0

    async def entries(self, tenant: str, run_id: str) -> list[Entry]:
        self.asked += 1
        assert tenant == "acme"
        return self.kept if run_id == "a" * 52 else []


@given(journals())
def test_a_journal_is_the_same_after_packing(entries: list[Entry]) -> None:
    again = unpack(pack(entries).records)
    assert again == entries
    assert fold(again).last_sequence == fold(entries).last_sequence


def kept() -> list[Entry]:
    return stored([RUN.accepted(), RUN.claimed(item=1), RUN.cancel()])


async def test_a_journal_that_the_stream_has_not_is_read_from_the_archive() -> None:
    assert await JournalWithArchive(MemoryJournal(), OneShelf(kept())).load("acme", "a" * 52) == kept()


async def test_a_journal_whose_beginning_is_gone_is_read_from_the_archive() -> None:
    stream = MemoryJournal()
    await stream.append(RUN.cancel(), expected=0)
    journal = JournalWithArchive(stream, OneShelf(kept()))
    assert await journal.load("acme", "a" * 52) == kept()
    with pytest.raises(Fenced) as fenced:
        await journal.append(RUN.accepted(), expected=0)
    assert list(fenced.value.entries) == kept()


class Vanished(MemoryJournal):
    """A stream whose records went with their fences."""

    async def append(self, record: Record, *, expected: int) -> Entry:
        raise Fenced([])


async def test_a_late_writer_learns_what_came_after_it_from_the_archive() -> None:
    journal = JournalWithArchive(Vanished(), OneShelf(kept()))
    with pytest.raises(Fenced) as fenced:
        await journal.append(RUN.cancel(), expected=kept()[0].sequence)
    assert list(fenced.value.entries) == kept()[1:]


async def test_a_late_writer_into_an_erased_run_is_not_told_that_it_is_stored() -> None:
    journal = JournalWithArchive(Vanished(), OneShelf([]))
    with pytest.raises(MalhaError) as refused:
        await journal.append(RUN.cancel(), expected=7)
    assert refused.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE


async def test_the_archive_is_not_asked_about_runs_that_are_in_the_stream() -> None:
    shelf = OneShelf([])
    journal = JournalWithArchive(MemoryJournal(), shelf)
    await journal.append(RUN.accepted(), expected=0)
    assert len(await journal.load("acme", "a" * 52)) == 1
    assert await journal.load("acme", "a" * 52, after=1) == []
    assert shelf.asked == 0


async def test_what_is_being_erased_is_not_there_and_its_id_is_not_free_yet() -> None:
    stream = MemoryJournal()
    await stream.append(RUN.cancel(), expected=0)  # its first records are gone already
    journal = JournalWithArchive(stream, OneShelf([]))
    assert await journal.load("acme", "a" * 52) == []
    with pytest.raises(MalhaError) as refused:
        await journal.append(RUN.accepted(), expected=0)
    assert refused.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE


class MovedMeanwhile(MemoryJournal):
    """A stream that a journal is moved out of while it is read: the first of these readings has a hole."""

    def __init__(self, readings: list[list[Entry]]) -> None:
        super().__init__()
        self.readings = readings

    async def load(self, tenant: str, run_id: str, *, after: int = 0) -> list[Entry]:
        return self.readings.pop(0)


@pytest.mark.parametrize(
    "end",
    [
        [RUN.record(finished())],
        [RUN.record(finished(FinalStatus.FINAL_STATUS_DEAD)), RUN.dropped()],
    ],
    ids=["finished", "dropped"],
)
@pytest.mark.parametrize("archived", [True, False], ids=["archived", "erased"])
async def test_a_journal_that_is_moved_or_erased_while_it_is_read_is_not_read_with_a_hole(
    end: list[Record], archived: bool
) -> None:
    whole = stored([RUN.accepted(), RUN.claimed(item=1), *end])
    stream = MovedMeanwhile([[whole[0], *whole[2:]], []])
    read = await JournalWithArchive(stream, OneShelf(whole if archived else [])).load("acme", "a" * 52)
    assert read == (whole if archived else [])


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
