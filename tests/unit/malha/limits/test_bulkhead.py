"""A bulkhead runs so many calls, lets so many wait, and refuses the rest at once."""

import asyncio

import pytest

from malha.errors import ErrorReason, MalhaError
from malha.limits.bulkhead import Bulkhead


class Work:
    """A call behind a bulkhead that ends when told to."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self.begun = False
        self.end = asyncio.Event()
        self._bulkhead = bulkhead
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with self._bulkhead:
            self.begun = True
            await self.end.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_call_beyond_limit_and_queue_is_refused_at_once() -> None:
    bulkhead = Bulkhead("tool", limit=1, queue=1)
    first, second = Work(bulkhead), Work(bulkhead)
    await settle()
    with pytest.raises(MalhaError) as refused:
        async with bulkhead:
            pass
    assert refused.value.reason == ErrorReason.ERROR_REASON_OVERLOADED
    assert refused.value.retry_after
    assert (first.begun, second.begun) == (True, False)
    first.end.set()
    second.end.set()
    await asyncio.gather(first.task, second.task)


async def test_those_who_wait_begin_in_the_order_of_their_coming() -> None:
    bulkhead = Bulkhead("tool", limit=1, queue=2)
    works = [Work(bulkhead) for _ in range(3)]
    await settle()
    for index, work in enumerate(works):
        assert [w.begun for w in works] == [i <= index for i in range(3)]
        work.end.set()
        await work.task
        await settle()


async def test_a_cancelled_waiter_gives_its_place_in_the_queue_back() -> None:
    bulkhead = Bulkhead("tool", limit=1, queue=1)
    first, waiter = Work(bulkhead), Work(bulkhead)
    await settle()
    waiter.task.cancel()
    await asyncio.gather(waiter.task, return_exceptions=True)
    third = Work(bulkhead)
    await settle()
    first.end.set()
    third.end.set()
    await asyncio.gather(first.task, third.task)
    assert third.begun


async def test_a_failing_call_gives_its_place_back() -> None:
    bulkhead = Bulkhead("tool", limit=1, queue=0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with bulkhead:
                raise ZeroDivisionError
