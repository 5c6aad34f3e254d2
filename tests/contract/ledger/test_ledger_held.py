"""What is held for long is found, whoever it belongs to, until it is settled."""

from datetime import timedelta

from malha.testing.clock import FakeClock
from malha.testing.money import Till, at_ceiling, call, free, release, used
from malha_cost.judge import MOST_HELD, Judge

AN_HOUR = timedelta(hours=1)


async def test_runs_that_hold_something_for_long_are_found_oldest_first(
    judge: Judge, till: Till, clock: FakeClock
) -> None:
    bia = Till(judge, "bia")
    await bia.reserve(call("bia/lost/1/1/1", 70, run="lost"))
    clock.advance(86400)
    await till.reserve(
        call("ana/old/1/1/1", 10, run="old"),
        call("ana/old/2/1/1", 20, run="old"),
        call("ana/old/3/1/1", 30, run="old"),
    )
    await till.settle(used("ana/old/2/1/1", 5), free("ana/old/4/1/1"))
    await till.reserve(call("ana/over/1/1/1", 10, run="over"))
    await till.settle(release("ana/over/1/1/1"))
    clock.advance(3600)
    await till.reserve(call("ana/young/1/1/1", 10, run="young"))
    found = await judge.held(AN_HOUR)
    assert [(h.tenant, h.run_id, list(h.keys), h.reserved_microusd) for h in found] == [
        ("bia", "lost", ["bia/lost/1/1/1"], 70),
        ("ana", "old", ["ana/old/1/1/1", "ana/old/3/1/1"], 40),
    ]
    await bia.settle(at_ceiling("bia/lost/1/1/1"))
    assert [h.run_id for h in await judge.held(AN_HOUR)] == ["old"]
    assert {h.run_id for h in await judge.held(timedelta(0))} == {"old", "young"}


async def test_a_run_that_still_reserves_is_not_taken_for_lost(
    judge: Judge, till: Till, clock: FakeClock
) -> None:
    await till.reserve(call("ana/busy/1/1/1", 10, run="busy"))
    clock.advance(7200)
    await till.reserve(call("ana/busy/2/1/1", 10, run="busy"))
    assert not await judge.held(AN_HOUR)


async def test_many_young_runs_hide_no_old_one(judge: Judge, clock: FakeClock) -> None:
    zoe = Till(judge, "zoe")
    await zoe.reserve(call("zoe/old/1/1/1", 1, run="old"))
    clock.advance(3601)
    for first in range(0, 320, 64):
        await Till(judge).reserve(*(call(f"ana/{n}/1/1/1", 1, run=str(n)) for n in range(first, first + 64)))
    assert [run.tenant for run in await judge.held(AN_HOUR)] == ["zoe"]


async def test_more_old_runs_than_one_answer_holds_are_all_found_by_asking_on(
    judge: Judge, clock: FakeClock
) -> None:
    runs = [f"{number:03}" for number in range(320)]
    for first in range(0, 320, 64):
        await Till(judge).reserve(*(call(f"ana/{run}/1/1/1", 1, run=run) for run in runs[first : first + 64]))
    clock.advance(3600)
    found = await judge.held(AN_HOUR)
    assert len(found) == MOST_HELD
    found += await judge.held(AN_HOUR, skip=MOST_HELD)
    assert [run.run_id for run in found] == runs
