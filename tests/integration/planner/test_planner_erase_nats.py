"""Erasing on a real stream: no byte of a run is left on any disk, wherever it was interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.planner.v1.planner_service_pb2 import RunRow
from malha.api.run.v1.record_pb2 import Content, FinalStatus, Record
from malha.errors import ErrorReason, MalhaError
from malha.run import Entry, Sealer, UnsealableError, accept, erased_id, run_id_for
from malha.run.nats_journal import NatsKeyRing
from malha.testing.grep import files_with, traces
from malha.testing.planner import Crash, MemoryItem, asks, says
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.records import finished as ending
from malha.testing.shop import until
from malha_planner.adapters.runs_table import SqliteRunsTable
from malha_planner.ports import Row

ANA = Principal(tenant="acme", subject="ana")


class Leading:
    """A leadership that nobody disputes."""

    told = 2**62

    async def check(self) -> None:
        return


async def finished(planner: PlannerOnNats, count: int = 1) -> list[MemoryItem]:
    """Runs that are over, and a follower that archives and erases."""
    planner.model.script = [asks(("add", {"a": 1, "b": 2})), says("three")]
    planner.chores = [planner.eraser()]
    planner.start_follower()
    planner.start_worker()
    items = [await planner.accept() for _ in range(count)]
    await planner.until_finished(count)
    return items


async def gone(planner: PlannerOnNats, item: MemoryItem) -> bool:
    return not await planner.stream_journal.load(item.tenant, item.run_id)


@pytest.mark.parametrize("archived", [False, True], ids=["in the stream", "archived"])
async def test_no_byte_of_an_erased_run_is_left_on_any_disk(
    planner: PlannerOnNats, tmp_path: Path, archived: bool
) -> None:
    items = await finished(planner, 12)
    erased = items[3:9]
    needles: set[bytes] = set()
    for item in erased:
        needles |= traces(await planner.journal.load(item.tenant, item.run_id))
    if archived:
        assert await planner.archivist().archive(Leading()) == 12
    assert len(files_with(needles, tmp_path)) >= 3, "the journal, the events and the table at least"

    requests = planner.erase_requests()
    for item in erased:
        await requests.erase_run(ANA, item.run_id)

    await until(lambda: not files_with(needles, tmp_path))  # hints that were taken go once the queue is empty
    for item in erased:
        assert await gone(planner, item)
        assert not [key for key in planner.toolbox.records if item.run_id in key]
    for item in (*items[:3], *items[9:]):
        assert (await planner.state(item)).final
    assert len(await planner.table.page("acme", {}, before=None, limit=20)) == 6


async def test_the_erasure_is_announced_by_a_hash_and_by_whom_and_the_runs_own_events_are_gone(
    planner: PlannerOnNats,
) -> None:
    erased, kept = await finished(planner, 2)
    await planner.erase_requests().erase_run(ANA, erased.run_id)
    events = await planner.events()
    (told,) = [event for event in events if event["type"] == "malha.run.erased"]
    assert told["subject"] == erased_id("acme", erased.run_id)
    assert isinstance(told["data"], dict)
    assert (told["data"]["by"], told["data"]["status"]) == ("ana", "erased")
    assert not [event for event in events if event["subject"] == erased.run_id]
    assert len([event for event in events if event["subject"] == kept.run_id]) == 9


async def test_after_an_erasure_the_follower_goes_on_where_it_was(planner: PlannerOnNats) -> None:
    erased, kept = await finished(planner, 2)
    await planner.erase_requests().erase_run(ANA, erased.run_id)
    before = [event["id"] for event in await planner.events()]
    for task in list(planner._tasks):
        await planner.stop(task)
    planner.start_follower()
    planner.start_worker()
    await planner.accept()
    await planner.until_finished(2)
    ids = [event["id"] for event in await planner.events()]
    assert ids[: len(before)] == before
    assert len(ids) == len(set(ids)) == len(before) + 9
    del kept


async def test_what_is_erased_is_not_found_and_its_idempotency_key_makes_a_new_run(
    planner: PlannerOnNats,
) -> None:
    (item,) = await finished(planner)
    first = (await planner.journal.load(item.tenant, item.run_id))[0].record
    requests = planner.erase_requests()
    await requests.erase_run(ANA, item.run_id)
    with pytest.raises(MalhaError) as refused:
        await requests.erase_run(ANA, item.run_id)
    assert refused.value.reason == ErrorReason.ERROR_REASON_RUN_NOT_FOUND
    assert await planner.journal.load("acme", erased_id("acme", item.run_id)) == []

    assert not (await accept(planner.journal, first)).final
    await planner.until_finished(1)
    ((_, row),) = await planner.table.page("acme", {}, before=None, limit=10)
    assert row.run_id == item.run_id
    await requests.erase_run(ANA, item.run_id)
    assert await gone(planner, item)
    types = [event["type"] for event in await planner.events()]
    assert types == ["malha.run.erased"] * 2


async def test_a_run_that_is_still_going_is_not_erased(planner: PlannerOnNats) -> None:
    item = await planner.accept()
    with pytest.raises(MalhaError) as refused:
        await planner.erase_requests().erase_run(ANA, item.run_id)
    assert refused.value.reason == ErrorReason.ERROR_REASON_RUN_NOT_FINISHED
    assert refused.value.metadata["status"] == "QUEUED"


async def test_another_tenants_run_is_not_found(planner: PlannerOnNats) -> None:
    (item,) = await finished(planner)
    with pytest.raises(MalhaError) as refused:
        await planner.erase_requests().erase_run(Principal(tenant="other"), item.run_id)
    assert refused.value.reason == ErrorReason.ERROR_REASON_RUN_NOT_FOUND
    assert not await gone(planner, item)


class Dies:
    """A part whose process dies in, or right after, one of its calls."""

    def __init__(self, part: object, call: str, *, after: bool) -> None:
        self._part = part
        self._call = call
        self._after = after

    def __getattr__(self, name: str) -> object:
        found = getattr(self._part, name)
        if name != self._call:
            return found

        async def die(*args: object, **more: object) -> None:
            if self._after:
                await found(*args, **more)
            raise Crash(name)

        return die


class HalfErased:
    """Streams whose process dies after half of a run's records."""

    def __init__(self, planner: PlannerOnNats) -> None:
        self._streams = planner.streams

    async def erase_records(self, sequences: Sequence[int]) -> None:
        await self._streams.erase_records(sequences[: len(sequences) // 2])
        raise Crash("erase_records")


DEATHS = {
    "effects erased": ("_effects", "erase", True),
    "records erased": ("_streams", "erase_records", True),
    "archive emptied": ("_shelf", "remove", True),
    "row deleted": ("_table", "remove", True),
    "erasure recorded": ("_journal", "append", True),
    "events erased": ("_streams", "erase_events", True),
    "all but done": ("_erasures", "done", False),
}


@pytest.mark.parametrize("where", [*DEATHS, "half of the records"])
async def test_an_erasure_that_died_anywhere_is_finished_by_the_next_leader(
    planner: PlannerOnNats, tmp_path: Path, where: str
) -> None:
    (item, kept) = await finished(planner, 2)
    for task in list(planner._tasks):
        await planner.stop(task)
    needles = traces(await planner.journal.load(item.tenant, item.run_id))
    requests = planner.erase_requests()
    await requests._ask(ANA, item.run_id)
    eraser = planner.eraser()
    if where == "half of the records":
        eraser._streams = HalfErased(planner)  # type: ignore[assignment]
    else:
        part, call, after = DEATHS[where]
        setattr(eraser, part, Dies(getattr(eraser, part), call, after=after))
    with pytest.raises(Crash):
        await eraser.erase(Leading())

    planner.chores = [planner.eraser()]
    planner.start_follower()
    await requests._until_done("acme", [item.run_id])
    assert await gone(planner, item)

    await until(lambda: not files_with(needles, tmp_path))
    assert [event["type"] for event in await planner.events()].count("malha.run.erased") == 1
    assert (await planner.state(kept)).final


async def test_an_erasure_that_died_in_the_last_run_of_all_waits_for_no_other_run(
    planner: PlannerOnNats,
) -> None:
    (item,) = await finished(planner)
    for task in list(planner._tasks):
        await planner.stop(task)
    entries = await planner.journal.load(item.tenant, item.run_id)
    requests = planner.erase_requests()
    await requests._ask(ANA, item.run_id)
    await planner.streams.erase_records([entries[0].sequence])  # and died

    planner.chores = [planner.eraser()]
    planner.start_follower()
    async with asyncio.timeout(5):
        await requests._until_done("acme", [item.run_id])
    assert await gone(planner, item)


async def test_a_dead_run_whose_erasure_is_asked_for_cannot_be_replayed(planner: PlannerOnNats) -> None:
    """A replay's record would be left, and a row that nothing takes away."""
    item = await planner.accept()
    await planner.append(item, ending(FinalStatus.FINAL_STATUS_DEAD))
    requests = planner.erase_requests()
    await requests._ask(ANA, item.run_id)
    assert not (await planner.state(item)).dead

    planner.chores = [planner.eraser()]
    planner.start_follower()
    await requests._until_done("acme", [item.run_id])
    assert await gone(planner, item)


class ReplayedMeanwhile:
    """A journal into which an operator's replay comes first."""

    def __init__(self, planner: PlannerOnNats, item: MemoryItem) -> None:
        self._planner, self._item = planner, item

    async def append(self, record: Record, *, expected: int) -> Entry:
        await self._planner.replay(self._item)
        return await self._planner.stream_journal.append(record, expected=expected)

    def __getattr__(self, name: str) -> object:
        return getattr(self._planner.stream_journal, name)


async def test_a_dead_run_that_is_replayed_as_its_erasure_is_asked_for_goes_on(
    planner: PlannerOnNats,
) -> None:
    item = await planner.accept()
    await planner.append(item, ending(FinalStatus.FINAL_STATUS_DEAD))
    requests = planner.erase_requests()
    requests._journal = ReplayedMeanwhile(planner, item)  # type: ignore[assignment]
    with pytest.raises(MalhaError) as refused:
        await requests.erase_run(ANA, item.run_id)
    assert refused.value.reason == ErrorReason.ERROR_REASON_RUN_NOT_FINISHED
    assert not await planner.archive.waits("acme", item.run_id)


async def test_a_tenants_erasure_passes_over_what_another_request_erased_meanwhile(
    planner: PlannerOnNats,
) -> None:
    await finished(planner, 3)
    requests = planner.erase_requests()

    class ErasedMeanwhile(SqliteRunsTable):
        async def page(
            self, tenant: str, where: Mapping[str, str], *, before: int | None, limit: int
        ) -> list[tuple[int, RunRow]]:
            rows = await super().page(tenant, where, before=before, limit=limit)
            for _, row in rows[:1]:
                await requests.erase_run(ANA, row.run_id)
            return rows

    again = planner.erase_requests()
    again._table = ErasedMeanwhile(planner.table._database)
    await again.erase_tenant(ANA, "acme")
    assert await planner.table.page("acme", {}, before=None, limit=10) == []


async def test_a_follower_that_was_held_up_cannot_bring_back_a_row_or_an_archived_journal(
    planner: PlannerOnNats,
) -> None:
    (item,) = await finished(planner)
    entries: list[Entry] = await planner.journal.load(item.tenant, item.run_id)
    kept: list[Row] = []
    table = planner.table

    class Keeps(SqliteRunsTable):
        async def upsert(self, rows: Sequence[Row], *, followed: int) -> None:
            kept.extend(rows)
            await table.upsert(rows, followed=followed)

    planner.table = Keeps(table._database)
    follower = planner.start_follower()  # reads the last run's end again

    await until(lambda: bool(kept))
    await planner.kill(follower)
    planner.table = table
    await planner.erase_requests().erase_run(ANA, item.run_id)

    await table.upsert(kept, followed=0)
    assert await table.page("acme", {}, before=None, limit=10) == []
    assert not await planner.archive.put(item.tenant, item.run_id, entries)
    assert await planner.archive.entries(item.tenant, item.run_id) == []


async def test_a_tenant_is_erased_with_its_key_and_other_tenants_are_not(
    planner: PlannerOnNats, tmp_path: Path
) -> None:
    items = await finished(planner, 5)
    needles: set[bytes] = set()
    for item in items:
        needles |= traces(await planner.journal.load(item.tenant, item.run_id))
    keys = NatsKeyRing(planner.connection, bytes(32))
    elsewhere = NatsKeyRing(planner.connection, bytes(32))
    await elsewhere.listen()
    place = ("acme", run_id_for("acme", None), "accepted")
    sealed = await Sealer(elsewhere).seal(*place, Content(text="a copy somewhere else"))
    others = await elsewhere.current("other")

    operator = Principal(tenant="house", subject="op")
    assert await planner.erase_requests(keys).erase_tenant(operator, "acme") == 5

    await until(lambda: not files_with(needles, tmp_path))
    await planner.connection.nc.flush()
    with pytest.raises(UnsealableError):
        await Sealer(elsewhere).open(*place, sealed)
    again = await Sealer(elsewhere).seal(*place, Content(text="new"))
    assert (await Sealer(NatsKeyRing(planner.connection, bytes(32))).open(*place, again)).text == "new"
    assert await elsewhere.find("other", others.key_id) == others


async def test_a_tenant_with_a_run_still_going_is_not_erased(planner: PlannerOnNats) -> None:
    (item,) = await finished(planner)
    for task in list(planner._tasks):
        await planner.stop(task)
    planner.start_follower()
    await planner.accept()

    async def listed() -> bool:
        return len(await planner.table.page("acme", {}, before=None, limit=10)) == 2

    await until(listed)
    with pytest.raises(MalhaError) as refused:
        await planner.erase_requests().erase_tenant(ANA, "acme")
    assert refused.value.reason == ErrorReason.ERROR_REASON_RUN_NOT_FINISHED
    assert not await gone(planner, item)
