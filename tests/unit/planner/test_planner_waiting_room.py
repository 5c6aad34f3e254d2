"""Who waits takes no slot, and who comes back gets one: laws of the waiting room."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.errors import ErrorReason, MalhaError
from malha_planner.lanes import Lane, Lanes
from malha_planner.waiting_room import WaitingRoom

CROWD, LONELY = Lane("interactive", "crowd"), Lane("interactive", "lonely")


class Room(WaitingRoom):
    """A waiting room whose slots are given on whenever one is freed, as the queue does."""

    def __init__(self, slots: int, cap: int = 1000) -> None:
        self.lanes = Lanes(slots, {}, lambda _: cap)
        super().__init__(self.lanes, self._given_on)

    async def _given_on(self) -> None:
        while self.admit():
            pass

    def done(self, lane: Lane) -> None:
        """An item is done with."""
        self.lanes.free(lane)
        while self.admit():
            pass


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_while_one_waits_another_has_its_slot_and_the_one_comes_back_when_it_is_done() -> None:
    room, go = Room(slots=1), asyncio.Event()
    room.lanes.add(LONELY)
    room.lanes.occupy(CROWD)

    async def wait() -> None:
        async with room.out(CROWD):
            await go.wait()

    waiting = asyncio.create_task(wait())
    await turns()
    assert room.lanes.take() == LONELY
    go.set()
    await turns()
    assert not waiting.done(), "there is one slot"
    room.done(LONELY)
    await waiting
    assert (room.lanes.taken, room.inside) == (1, 0)


async def test_more_than_sixteen_for_each_slot_are_not_let_out() -> None:
    room, go = Room(slots=2), asyncio.Event()

    async def wait() -> None:
        room.lanes.occupy(CROWD)
        async with room.out(CROWD):
            await go.wait()
        room.done(CROWD)

    waiting = [asyncio.create_task(wait()) for _ in range(32)]
    await turns()
    room.lanes.occupy(LONELY)
    with pytest.raises(MalhaError) as refused:
        async with room.out(LONELY):
            raise AssertionError("it was let out")
    assert refused.value.reason == ErrorReason.ERROR_REASON_OVERLOADED
    assert room.lanes.taken == 1, "it keeps its slot"
    go.set()
    await asyncio.gather(*waiting)
    assert room.lanes.taken == 1


async def test_a_crowd_that_comes_back_again_and_again_does_not_keep_another_from_coming_back() -> None:
    room, go = Room(slots=1), asyncio.Event()
    came_back = 0

    async def ask_again_and_again() -> None:
        nonlocal came_back
        room.lanes.occupy(CROWD)
        while True:
            async with room.out(CROWD):
                await turns(1)
            came_back += 1
            await turns(1)

    async def come_back() -> None:
        room.lanes.occupy(LONELY)
        async with room.out(LONELY):
            await go.wait()

    crowd = [asyncio.create_task(ask_again_and_again()) for _ in range(10)]
    lonely = asyncio.create_task(come_back())
    await turns()
    go.set()
    before = came_back
    while not lonely.done():
        await turns(1)
        assert came_back - before < 20, "the slot was free so often, and not for it"
    for one in crowd:
        one.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)


@given(
    st.integers(1, 3), st.integers(1, 4), st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=40)
)
def test_whoever_is_interrupted_whenever_no_slot_is_lost_and_no_more_work_than_there_are(
    slots: int, cap: int, happens: list[tuple[int, bool]]
) -> None:
    async def play() -> None:
        room, working = Room(slots, cap), 0

        async def item() -> None:
            nonlocal working
            room.lanes.occupy(CROWD)
            try:
                for _ in range(3):
                    async with room.out(CROWD):
                        await turns(2)
                    working += 1
                    assert working <= min(slots, cap)
                    try:
                        await turns(2)
                    finally:
                        working -= 1
            finally:
                room.done(CROWD)

        tasks = [asyncio.create_task(item()) for _ in range(10)]
        for number, interrupted in happens:
            await turns(1)
            if interrupted:
                tasks[number].cancel()
        async with asyncio.timeout(10):
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends), ends
        assert (room.lanes.taken, room.inside) == (0, 0)

    asyncio.run(play())
