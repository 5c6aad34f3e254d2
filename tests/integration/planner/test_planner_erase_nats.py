"""Erasing on a real stream: no byte of a run is left on any disk, and others are left as they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.run.v1.record_pb2 import FinalStatus
from malha.errors import ErrorReason, MalhaError
from malha.run import accept, erased_id
from malha.testing.grep import files_with, traces
from malha.testing.planner import Leading
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.records import finished as ending
from malha.testing.shop import until

ANA = Principal(tenant="acme", subject="ana")


@pytest.mark.parametrize("archived", [False, True], ids=["in the stream", "archived"])
async def test_no_byte_of_an_erased_run_is_left_on_any_disk(
    planner: PlannerOnNats, tmp_path: Path, archived: bool
) -> None:
    planner.chores = [planner.eraser()]
    items = await planner.finished(12)
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
        assert not await planner.in_stream(item)
        assert not [key for key in planner.toolbox.records if item.run_id in key]
    for item in (*items[:3], *items[9:]):
        assert (await planner.state(item)).final
    assert len(await planner.table.page("acme", {}, before=None, limit=20)) == 6


async def test_the_erasure_is_announced_by_a_hash_and_by_whom_and_the_runs_own_events_are_gone(
    planner: PlannerOnNats,
) -> None:
    planner.chores = [planner.eraser()]
    erased, kept = await planner.finished(2)
    await planner.erase_requests().erase_run(ANA, erased.run_id)
    events = await planner.events()
    (told,) = [event for event in events if event["type"] == "malha.run.erased"]
    assert told["subject"] == erased_id("acme", erased.run_id)
    assert isinstance(told["data"], dict)
    assert (told["data"]["by"], told["data"]["status"]) == ("ana", "erased")
    assert not [event for event in events if event["subject"] == erased.run_id]
    assert len([event for event in events if event["subject"] == kept.run_id]) == 9


async def test_after_an_erasure_the_follower_goes_on_where_it_was(planner: PlannerOnNats) -> None:
    planner.chores = [planner.eraser()]
    erased, kept = await planner.finished(2)
    await planner.erase_requests().erase_run(ANA, erased.run_id)
    before = [event["id"] for event in await planner.events()]
    await planner.stop_all()
    planner.start_follower()
    planner.start_worker()
    await planner.accept()
    await planner.until_finished(2)
    ids = [event["id"] for event in await planner.events()]
    assert ids[: len(before)] == before
    assert len(ids) == len(set(ids)) == len(before) + 9
    del kept


async def test_a_run_that_was_archived_and_opened_again_is_erased_with_both_its_journals(
    planner: PlannerOnNats, tmp_path: Path
) -> None:
    planner.chores = [planner.eraser()]
    (item,) = await planner.finished()
    entries = await planner.in_stream(item)
    await planner.archivist().archive(Leading())
    await accept(planner.stream_journal, entries[0].record)
    await planner.append(item, ending(FinalStatus.FINAL_STATUS_CANCELLED))
    await planner.until_finished(2)
    needles = traces([*entries, *await planner.in_stream(item)])

    await planner.erase_requests().erase_run(ANA, item.run_id)
    await until(lambda: not files_with(needles, tmp_path))


async def test_what_is_erased_is_not_found_and_its_idempotency_key_makes_a_new_run(
    planner: PlannerOnNats,
) -> None:
    planner.chores = [planner.eraser()]
    (item,) = await planner.finished()
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
    assert not await planner.in_stream(item)
    types = [event["type"] for event in await planner.events()]
    assert types == ["malha.run.erased"] * 2


async def test_a_run_that_is_still_going_is_not_erased(planner: PlannerOnNats) -> None:
    item = await planner.accept()
    with pytest.raises(MalhaError) as refused:
        await planner.erase_requests().erase_run(ANA, item.run_id)
    assert refused.value.reason == ErrorReason.ERROR_REASON_RUN_NOT_FINISHED
    assert refused.value.metadata["status"] == "QUEUED"


async def test_another_tenants_run_is_not_found(planner: PlannerOnNats) -> None:
    planner.chores = [planner.eraser()]
    (item,) = await planner.finished()
    with pytest.raises(MalhaError) as refused:
        await planner.erase_requests().erase_run(Principal(tenant="other"), item.run_id)
    assert refused.value.reason == ErrorReason.ERROR_REASON_RUN_NOT_FOUND
    assert await planner.in_stream(item)
