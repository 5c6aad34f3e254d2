"""The archive on a real stream: moved journals read the same, wherever the move was interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from malha.api.run.v1.record_pb2 import Accepted, Archived, Claimed, JournalEvent, Record
from malha.errors import ErrorReason, MalhaError
from malha.run import Entry, Fenced, accept, is_archived
from malha.run.nats_journal import RUNS
from malha.sqlite import Database
from malha.testing.planner import Crash, MemoryItem, asks, says
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.shop import until
from malha_planner.adapters.runs_table import MIGRATIONS, SqliteRunsTable
from malha_planner.archiving import Archivist


class Leading:
    """A leadership that nobody disputes."""

    told = 2**62

    async def check(self) -> None:
        return


async def finished(planner: PlannerOnNats, count: int = 1) -> list[MemoryItem]:
    """Runs that are over and followed."""
    planner.model.script = [asks(("add", {"a": 1, "b": 2})), says("three")]
    follower = planner.start_follower()
    worker = planner.start_worker()
    items = [await planner.accept() for _ in range(count)]
    await planner.until_finished(count)
    await planner.kill(follower)
    await planner.stop(worker)
    return items


async def in_stream(planner: PlannerOnNats, item: MemoryItem) -> list[Entry]:
    return await planner.stream_journal.load(item.tenant, item.run_id)


async def test_an_archived_journal_reads_exactly_as_before_and_one_record_is_left_in_the_stream(
    planner: PlannerOnNats,
) -> None:
    (item,) = await finished(planner)
    before = await planner.journal.load(item.tenant, item.run_id)
    assert await planner.archivist().archive(Leading()) == 1
    assert await planner.journal.load(item.tenant, item.run_id) == before
    (left,) = await in_stream(planner, item)
    assert is_archived(left.record)
    later = await planner.journal.load(item.tenant, item.run_id, after=before[2].sequence)
    assert later == before[3:]
    assert await planner.archivist().archive(Leading()) == 0


async def test_a_run_is_archived_once_its_time_is_over_by_the_streams_clock_and_no_sooner(
    planner: PlannerOnNats,
) -> None:
    await finished(planner)
    assert await planner.archivist(timedelta(hours=24)).archive(Leading()) == 0
    assert await planner.archivist().archive(Leading()) == 1


async def test_what_is_not_announced_yet_is_not_archived(planner: PlannerOnNats) -> None:
    (item,) = await finished(planner)
    leading = Leading()
    leading.told = (await in_stream(planner, item))[-1].sequence - 1
    assert await planner.archivist().archive(leading) == 0


async def test_the_leading_follower_archives_and_announces_it(planner: PlannerOnNats) -> None:
    (item,) = await finished(planner)
    planner.chores = [planner.archivist()]
    planner.start_follower()

    async def announced() -> bool:
        return "malha.run.archived" in [event["type"] for event in await planner.events()]

    await until(announced)
    ((_, row),) = await planner.table.page("acme", {}, before=None, limit=10)
    assert (row.run_id, row.status) == (item.run_id, "SUCCEEDED")


class DiesErasing:
    """Streams whose process dies after so many erased records."""

    def __init__(self, planner: PlannerOnNats, after: int) -> None:
        self._streams = planner.streams
        self._after = after

    async def erase_records(self, sequences: Sequence[int]) -> None:
        await self._streams.erase_records(sequences[: self._after])
        raise Crash("erase_records")


class DiesAppending:
    """A journal whose process dies before, or right after, its record is stored."""

    def __init__(self, planner: PlannerOnNats, *, stored: bool) -> None:
        self._journal = planner.stream_journal
        self._stored = stored
        self.load = planner.stream_journal.load

    async def append(self, record: Record, *, expected: int) -> Entry:
        if self._stored:
            await self._journal.append(record, expected=expected)
        raise Crash("append")


def dying(planner: PlannerOnNats, where: str) -> Archivist:
    """An archivist that dies there."""
    archivist = planner.archivist()
    if where == "stored, not marked":
        archivist._journal = DiesAppending(planner, stored=False)  # type: ignore[assignment]
    elif where == "marked, nothing erased":
        archivist._journal = DiesAppending(planner, stored=True)  # type: ignore[assignment]
    elif where == "half of it erased":
        archivist._streams = DiesErasing(planner, 3)  # type: ignore[assignment]
    elif where == "all of it erased":
        archivist._streams = DiesErasing(planner, 99)  # type: ignore[assignment]
    return archivist


@pytest.mark.parametrize(
    "where",
    ["stored, not marked", "marked, nothing erased", "half of it erased", "all of it erased"],
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
    assert len(await in_stream(planner, item)) == 1


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


async def test_without_the_record_that_stays_an_old_idempotency_key_opens_its_run_again(
    planner: PlannerOnNats,
) -> None:
    """The failure that the record is there for: an empty subject accepts a first record."""
    (item,) = await finished(planner)
    opened = await in_stream(planner, item)
    again = opened[0].record
    await planner.archivist().archive(Leading())

    state = await accept(planner.journal, again)
    assert state.final, "a request that comes again finds the run it made"
    assert state.last_sequence == opened[-1].sequence

    await planner.streams.erase_records([(await in_stream(planner, item))[-1].sequence])
    resurrected = await accept(planner.journal, again)
    assert not resurrected.final, "and this is what would happen without it"


async def test_a_late_writer_is_fenced_and_finds_the_run_over(planner: PlannerOnNats) -> None:
    (item,) = await finished(planner)
    entries = await in_stream(planner, item)
    await planner.archivist().archive(Leading())
    late = Record(
        tenant=item.tenant, run_id=item.run_id, events=[JournalEvent(claimed=Claimed(worker="zombie"))]
    )
    with pytest.raises(Fenced) as fenced:
        await planner.journal.append(late, expected=entries[2].sequence)
    assert list(fenced.value.entries) == entries[3:]
    item.delivery = 2
    await planner.worker().handle(item)
    assert item.acks == 1, "there is nothing to do for it"


async def test_another_request_under_the_key_of_an_archived_run_is_a_conflict(
    planner: PlannerOnNats,
) -> None:
    (item,) = await finished(planner)
    await planner.archivist().archive(Leading())
    other = Record(
        tenant=item.tenant,
        run_id=item.run_id,
        events=[JournalEvent(accepted=Accepted(request_hash=b"another"))],
    )
    with pytest.raises(MalhaError) as refused:
        await accept(planner.journal, other)
    assert refused.value.reason == ErrorReason.ERROR_REASON_IDEMPOTENCY_CONFLICT


async def test_a_table_that_was_lost_is_told_again_archived_runs_included(
    planner: PlannerOnNats, tmp_path: Path
) -> None:
    await finished(planner, 3)
    await planner.archivist().archive(Leading())
    rows = await planner.table.page("acme", {}, before=None, limit=10)
    database = await Database.open(tmp_path / "another.db", MIGRATIONS, durable=False)
    planner.table = SqliteRunsTable(database)
    follower = planner.start_follower()

    async def back() -> bool:
        return await planner.table.page("acme", {}, before=None, limit=10) == rows

    await until(back)
    await planner.kill(follower)
    await database.close()


async def test_the_stream_holds_little_of_what_was_archived(planner: PlannerOnNats) -> None:
    await finished(planner, 8)
    before = (await planner.connection.js.stream_info(RUNS)).state.bytes
    await planner.archivist().archive(Leading())
    after = (await planner.connection.js.stream_info(RUNS)).state.bytes
    assert after < before / 5
    assert Archived(sequence=2**40).ByteSize() < 16
