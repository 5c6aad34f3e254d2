"""The archive on a real stream: moved journals read the same, wherever the move was interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from malha.api.run.v1.record_pb2 import Claimed, JournalEvent, Record
from malha.run import Entry, Fenced, accept, fold
from malha.testing.planner import Crash, Leading, MemoryItem
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.shop import until
from malha_planner.archiving import Archivist


async def finished(planner: PlannerOnNats, count: int = 1) -> list[MemoryItem]:
    """Runs that are over and followed, and nobody at work."""
    items = await planner.finished(count)
    await planner.stop_all()
    return items


async def test_an_archived_journal_reads_exactly_as_before_and_nothing_is_left_in_the_stream(
    planner: PlannerOnNats,
) -> None:
    (item,) = await finished(planner)
    before = await planner.journal.load(item.tenant, item.run_id)
    assert await planner.archivist().archive(Leading()) == 1
    assert await planner.journal.load(item.tenant, item.run_id) == before
    assert await planner.in_stream(item) == []
    assert await planner.archivist().archive(Leading()) == 0


async def test_a_run_is_archived_once_its_time_is_over_by_the_streams_clock_and_no_sooner(
    planner: PlannerOnNats,
) -> None:
    await finished(planner)
    assert await planner.archivist(timedelta(hours=24)).archive(Leading()) == 0
    assert await planner.archivist().archive(Leading()) == 1


async def test_what_is_not_announced_yet_is_not_archived(planner: PlannerOnNats) -> None:
    (item,) = await finished(planner)
    leading = Leading(told=(await planner.in_stream(item))[-1].sequence - 1)
    assert await planner.archivist().archive(leading) == 0


async def test_the_leading_follower_archives(planner: PlannerOnNats) -> None:
    (item,) = await finished(planner)
    planner.chores = [planner.archivist()]
    planner.start_follower()

    async def moved() -> bool:
        return not await planner.in_stream(item)

    await until(moved)
    ((_, row),) = await planner.table.page("acme", {}, before=None, limit=10)
    assert (row.run_id, row.status) == (item.run_id, "SUCCEEDED")


async def test_runs_whose_journals_are_lost_keep_no_other_from_the_archive(planner: PlannerOnNats) -> None:
    """After a restore, for example: the table knows runs that the stream does not."""
    journals = [await planner.in_stream(item) for item in await finished(planner, 65)]
    *lost, kept = sorted(journals, key=lambda entries: entries[-1].sequence)
    for entries in lost:  # as many as are archived at once
        await planner.streams.erase_records([entry.sequence for entry in entries])
    archivist = planner.archivist()
    assert await archivist.archive(Leading()) == 0
    assert await archivist.archive(Leading()) == 1
    assert await planner.archive.entries("acme", kept[0].record.run_id) == kept


class DiesErasing:
    """Streams whose process dies after so many erased records."""

    def __init__(self, planner: PlannerOnNats, after: int) -> None:
        self._streams = planner.streams
        self._after = after

    async def erase_records(self, sequences: Sequence[int]) -> None:
        await self._streams.erase_records(sequences[: self._after])
        raise Crash("erase_records")


class DiesStoring:
    """An archive whose process dies before, or right after, the journal is on disk."""

    def __init__(self, planner: PlannerOnNats, *, stored: bool) -> None:
        self._shelf = planner.archive
        self._stored = stored

    async def put(self, tenant: str, run_id: str, entries: Sequence[Entry]) -> bool:
        if self._stored:
            await self._shelf.put(tenant, run_id, entries)
        raise Crash("put")


def dying(planner: PlannerOnNats, where: str) -> Archivist:
    """An archivist that dies there."""
    archivist = planner.archivist()
    if where == "before it is stored":
        archivist._shelf = DiesStoring(planner, stored=False)  # type: ignore[assignment]
    elif where == "stored, nothing erased":
        archivist._shelf = DiesStoring(planner, stored=True)  # type: ignore[assignment]
    elif where == "its beginning erased":
        archivist._streams = DiesErasing(planner, 1)  # type: ignore[assignment]
    elif where == "half of it erased":
        archivist._streams = DiesErasing(planner, 3)  # type: ignore[assignment]
    elif where == "all of it erased":
        archivist._streams = DiesErasing(planner, 99)  # type: ignore[assignment]
    return archivist


@pytest.mark.parametrize(
    "where",
    [
        "before it is stored",
        "stored, nothing erased",
        "its beginning erased",
        "half of it erased",
        "all of it erased",
    ],
)
async def test_an_archivist_may_die_anywhere_and_another_finishes_its_work(
    planner: PlannerOnNats, where: str
) -> None:
    (item,) = await finished(planner)
    before = await planner.journal.load(item.tenant, item.run_id)
    with pytest.raises(Crash):
        await dying(planner, where).archive(Leading())
    assert await planner.journal.load(item.tenant, item.run_id) == before
    assert await planner.archivist().archive(Leading()) == 1
    assert await planner.journal.load(item.tenant, item.run_id) == before
    assert await planner.in_stream(item) == []


async def test_a_journal_reads_whole_while_it_is_being_moved(planner: PlannerOnNats) -> None:
    items = await finished(planner, 8)
    before = {item.run_id: await planner.journal.load(item.tenant, item.run_id) for item in items}
    moving = asyncio.create_task(planner.archivist().archive(Leading()))
    reads = 0
    while not moving.done():
        for item in items:
            assert await planner.journal.load(item.tenant, item.run_id) == before[item.run_id]
            reads += 1
    assert await moving == 8
    assert reads >= 8


async def test_without_asking_the_archive_an_old_idempotency_key_opens_its_run_again(
    planner: PlannerOnNats,
) -> None:
    """The failure that the asking is there for: an empty subject accepts a first record."""
    (item,) = await finished(planner)
    opened = await planner.in_stream(item)
    await planner.archivist().archive(Leading())
    known = await planner.journal.load(item.tenant, item.run_id)
    assert fold(known).final, "whoever asks before accepting finds the run"
    resurrected = await accept(planner.stream_journal, opened[0].record)
    assert not resurrected.final, "and this is what would happen without it"


async def test_a_late_writer_is_fenced_and_finds_the_run_over(planner: PlannerOnNats) -> None:
    (item,) = await finished(planner)
    entries = await planner.in_stream(item)
    await planner.archivist().archive(Leading())
    late = Record(
        tenant=item.tenant, run_id=item.run_id, events=[JournalEvent(claimed=Claimed(worker="zombie"))]
    )
    with pytest.raises(Fenced) as fenced:
        await planner.journal.append(late, expected=entries[2].sequence)
    assert list(fenced.value.entries) == entries[3:]
    with pytest.raises(Fenced):
        await planner.journal.append(late, expected=entries[-1].sequence)
    item.delivery = 2
    await planner.worker().handle(item)
    assert item.acks == 1, "there is nothing to do for it"
