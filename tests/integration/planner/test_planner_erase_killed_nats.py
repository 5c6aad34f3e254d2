"""An erasure that died is finished by the next leader, wherever it was interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from malha.api.common.v1.principal_pb2 import Principal
from malha.testing.grep import files_with, traces
from malha.testing.planner import Crash, Leading
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.shop import until

ANA = Principal(tenant="acme", subject="ana")


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
    planner.chores = [planner.eraser()]
    (item, kept) = await planner.finished(2)
    await planner.stop_all()
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
    assert not await planner.in_stream(item)

    await until(lambda: not files_with(needles, tmp_path))
    assert [event["type"] for event in await planner.events()].count("malha.run.erased") == 1
    assert (await planner.state(kept)).final


async def test_an_erasure_that_died_in_the_last_run_of_all_waits_for_no_other_run(
    planner: PlannerOnNats,
) -> None:
    planner.chores = [planner.eraser()]
    (item,) = await planner.finished()
    await planner.stop_all()
    entries = await planner.journal.load(item.tenant, item.run_id)
    requests = planner.erase_requests()
    await requests._ask(ANA, item.run_id)
    await planner.streams.erase_records([entries[0].sequence])  # and died

    planner.chores = [planner.eraser()]
    planner.start_follower()
    async with asyncio.timeout(5):
        await requests._until_done("acme", [item.run_id])
    assert not await planner.in_stream(item)
