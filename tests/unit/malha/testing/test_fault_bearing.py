"""When the next fault may be injected."""

from __future__ import annotations

import time

from malha.api.gateway.v1.run_pb2 import RunEvent, StepStatus
from malha.testing.faults.bearing import AT_ONCE, Bearing, Turn
from malha.testing.faults.load import Called
from malha.testing.faults.plan import Fault, Kind

NOW = 0.05


def called(came_further: float) -> Called:
    """A run in flight that last had a result so many seconds from now."""
    event = RunEvent()
    event.step_finished.status = StepStatus.STEP_STATUS_OK
    event.time.FromMicroseconds(int((time.time() + came_further) * 1e6))
    return Called("line", "run", "grpc", [event])


async def taken(bearing: Bearing, fault: Fault) -> Turn:
    turn = await bearing.next_of([fault], NOW)
    assert turn is not None
    return turn


async def test_two_wires_are_never_laid_at_one_boundary_and_the_next_fault_goes_first() -> None:
    bearing = Bearing([])
    pause, kill = Fault(Kind.STOP_AT, "planner.ack.after"), Fault(Kind.KILL, "edge")
    waiting = [pause, kill]
    with await taken(bearing, Fault(Kind.KILL_AT, "planner.ack.after")):
        turn = await bearing.next_of(waiting, NOW)
        assert turn is not None
        assert turn.fault == kill
        assert waiting == [pause]
        assert await bearing.next_of(waiting, NOW) is None
    assert await bearing.next_of(waiting, NOW)


async def test_only_so_many_faults_are_under_way_at_once() -> None:
    bearing = Bearing([])
    turns = [await taken(bearing, Fault(Kind.KILL, "planner")) for _ in range(AT_ONCE)]
    assert await bearing.next_of([Fault(Kind.KILL, "nats")], NOW) is None
    with turns[0]:
        pass
    assert await bearing.next_of([Fault(Kind.KILL, "nats")], NOW)


async def test_a_run_that_came_no_further_is_spared_a_fourth_fault_of_one_victim() -> None:
    runs = [called(came_further=-1.0)]
    bearing = Bearing(runs)
    for _ in range(3):
        with await taken(bearing, Fault(Kind.KILL, "retrieval")):
            pass
    fourth = Fault(Kind.CUT, "tools-retrieval")
    assert await bearing.next_of([fourth], NOW) is None
    assert await bearing.next_of([Fault(Kind.KILL, "planner")], NOW), "workers may be lost however often"
    runs[:] = [called(came_further=1.0)]
    assert await bearing.next_of([fourth], NOW)


async def test_answers_of_the_model_are_cut_again_only_once_every_run_came_further() -> None:
    bearing = Bearing([called(came_further=-1.0)])
    with await taken(bearing, Fault(Kind.MODEL, "before")):
        pass
    assert await bearing.next_of([Fault(Kind.MODEL, "middle")], NOW) is None
