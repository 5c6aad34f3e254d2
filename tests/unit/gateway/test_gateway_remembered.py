"""Answers kept for a moment: how old they may be, and who asks anew."""

from __future__ import annotations

import asyncio

import pytest

from malha.errors import MalhaError, unavailable
from malha.testing.clock import FakeClock
from malha_gateway.remembered import Remembered


class Source:
    """Counts its answers; may be away, or take its time."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.gate: asyncio.Event | None = None

    async def ask(self) -> int:
        self.asked += 1
        if self.gate:
            await self.gate.wait()
        if self.away:
            raise unavailable("source")
        return self.asked


async def test_an_answer_serves_until_it_is_old() -> None:
    clock, source = FakeClock(), Source()
    memory: Remembered[str, int] = Remembered(clock, fresh=5)
    assert [await memory.get("k", source.ask) for _ in range(3)] == [1, 1, 1]
    clock.advance(5)
    assert await memory.get("k", source.ask) == 2


async def test_of_a_crowd_one_asks_and_the_others_use_what_is_known() -> None:
    clock, source = FakeClock(), Source()
    memory: Remembered[str, int] = Remembered(clock, fresh=5)
    await memory.get("k", source.ask)
    clock.advance(5)
    source.gate = asyncio.Event()
    asking = asyncio.create_task(memory.get("k", source.ask))
    await asyncio.sleep(0)
    assert [await memory.get("k", source.ask) for _ in range(9)] == [1] * 9
    source.gate.set()
    assert await asking == 2
    assert source.asked == 2


async def test_an_old_answer_serves_an_absence_only_where_allowed() -> None:
    clock, source = FakeClock(), Source()
    lenient: Remembered[str, int] = Remembered(clock, fresh=5, when_away=60)
    strict: Remembered[str, int] = Remembered(clock, fresh=5)
    await lenient.get("k", source.ask)
    await strict.get("k", source.ask)
    source.away = True
    clock.advance(5)
    assert await lenient.get("k", source.ask) == 1
    with pytest.raises(MalhaError):
        await strict.get("k", source.ask)
    clock.advance(60)
    with pytest.raises(MalhaError):
        await lenient.get("k", source.ask)


async def test_the_memory_is_bounded() -> None:
    source = Source()
    memory: Remembered[int, int] = Remembered(FakeClock(), fresh=5, size=2)
    for key in (1, 2, 1, 3):
        await memory.get(key, source.ask)
    assert await memory.get(1, source.ask) == 1, "asked for again, so kept"
    assert await memory.get(2, source.ask) == 4, "the least recently asked for went"


async def test_an_answer_that_was_asked_for_before_all_was_forgotten_serves_nobody_after() -> None:
    """Whoever raised a budget must not be told of the old one."""
    source = Source()
    memory: Remembered[str, int] = Remembered(FakeClock(), fresh=5)
    source.gate = asyncio.Event()
    asking = asyncio.create_task(memory.get("k", source.ask))
    await asyncio.sleep(0)
    memory.clear()
    source.gate.set()
    assert await asking == 1
    assert await memory.get("k", source.ask) == 2
