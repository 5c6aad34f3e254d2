"""What others write while a run is erased: a replay, another erasure, a follower that was held up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.planner.v1.planner_service_pb2 import RunRow
from malha.api.run.v1.record_pb2 import FinalStatus, Record
from malha.errors import ErrorReason, MalhaError
from malha.run import Entry, erased_id
from malha.testing.planner import MemoryItem
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.records import finished as ending
from malha.testing.shop import until
from malha_planner.adapters.runs_table import SqliteRunsTable
from malha_planner.ports import Row

ANA = Principal(tenant="acme", subject="ana")


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
    assert not await planner.in_stream(item)


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


class Keeps:
    """A tools service that does not let go of some runs."""

    def __init__(self, run_ids: Sequence[str]) -> None:
        self._run_ids = run_ids

    async def erase(self, run_id: str) -> None:
        if run_id in self._run_ids:
            raise MalhaError(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, "there is too much of it")


async def test_erasures_that_wait_for_a_service_hold_up_no_other(planner: PlannerOnNats) -> None:
    items = await planner.finished(17)
    *waiting, last = sorted((item.run_id for item in items), key=lambda run_id: erased_id("acme", run_id))
    eraser = planner.eraser()
    eraser._effects = Keeps(waiting)
    await planner.stop_all()
    planner.chores = [eraser]
    planner.start_follower()
    requests = planner.erase_requests()
    for run_id in waiting:  # as many as are looked at together
        await requests._ask(ANA, run_id)
    async with asyncio.timeout(10):
        await requests.erase_run(ANA, last)
    assert await planner.archive.waits("acme", waiting[0])


async def test_a_tenants_erasure_passes_over_what_another_request_erased_meanwhile(
    planner: PlannerOnNats,
) -> None:
    planner.chores = [planner.eraser()]
    await planner.finished(3)
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
    planner.chores = [planner.eraser()]
    (item,) = await planner.finished()
    entries: list[Entry] = await planner.journal.load(item.tenant, item.run_id)
    kept: list[Row] = []
    table = planner.table

    class Remembers(SqliteRunsTable):
        async def upsert(self, rows: Sequence[Row], *, followed: int) -> None:
            kept.extend(rows)
            await table.upsert(rows, followed=followed)

    planner.table = Remembers(table._database)
    follower = planner.start_follower()  # reads the last run's end again

    await until(lambda: bool(kept))
    await planner.kill(follower)
    planner.table = table
    await planner.erase_requests().erase_run(ANA, item.run_id)

    await table.upsert(kept, followed=0)
    assert await table.page("acme", {}, before=None, limit=10) == []
    assert not await planner.archive.put(item.tenant, item.run_id, entries)
    assert await planner.archive.entries(item.tenant, item.run_id) == []
