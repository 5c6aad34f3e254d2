"""Readers of one run share what is known of it: the slow are bounded, and harm nobody."""

from __future__ import annotations

import asyncio

import pytest

from malha.errors import ErrorReason, MalhaError
from malha.run import (
    parse_stream_position,
)
from malha.testing.watched import BEGINNING, KINDS, watched
from malha_gateway import tail as module


async def test_a_slow_reader_is_bounded_and_still_misses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOW_EVENTS", 8)
    async with watched() as run:
        stream = run.following.follow("acme", run.run_id, BEGINNING, idle=5)
        first = await anext(stream)
        await run.worker.play(tool_calls=50)
        fast = await run.read()
        tail = next(iter(run.following._tails.values()))
        assert len(tail._window) <= 8
        slow = [event async for event in stream if event is not None]
        await stream.aclose()
    assert first is not None
    assert [first.position, *[event.position for event in slow]] == [event.position for event in fast]
    assert len(fast) == 6 + 4 * 50


async def test_the_window_is_bounded_in_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOW_BYTES", 2000)
    async with watched() as run:
        stream = run.following.follow("acme", run.run_id, BEGINNING, idle=5)
        await anext(stream)
        await run.worker.play(answer="x" * 1500)
        events = await run.read()
        tail = next(iter(run.following._tails.values()))
        assert tail._bytes <= 2000 + events[-1].ByteSize()
        await stream.aclose()
    assert len(events) == len(KINDS)


async def test_a_reader_that_takes_nothing_is_let_go_and_told_where_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PAGE_EVENTS", 2)
    async with watched(patience=0.05) as run:
        stuck = run.following.follow("acme", run.run_id, BEGINNING, idle=5)
        first = await anext(stuck)
        assert first is not None
        await run.worker.play()
        (tail,) = run.following._tails.values()
        async with asyncio.timeout(5):
            while run.following._tails:  # noqa: ASYNC110 - a dictionary has no event
                await asyncio.sleep(0.001)
        assert not tail._entries, "nothing is kept for it, though it sleeps on its hold"
        with pytest.raises(MalhaError) as raised:
            await anext(stuck)
        assert raised.value.reason == ErrorReason.ERROR_REASON_READER_TOO_SLOW
        assert raised.value.metadata["after"] == first.position
        rest = await run.read(parse_stream_position(raised.value.metadata["after"]))
        assert not run.following._tails
    assert [event.WhichOneof("event") for event in rest] == KINDS[1:]


async def test_a_reader_that_takes_nothing_delays_no_other() -> None:
    async with watched() as run:
        stuck = run.following.follow("acme", run.run_id, BEGINNING, idle=5)
        await anext(stuck)
        reading = asyncio.create_task(run.read())
        await run.worker.play()
        async with asyncio.timeout(5):
            assert len(await reading) == len(KINDS)
        await stuck.aclose()


async def test_many_readers_share_one_follower_and_leave_nothing_behind() -> None:
    async with watched() as run:
        readings = [asyncio.create_task(run.read()) for _ in range(50)]
        await asyncio.sleep(0)
        await run.worker.play()
        results = await asyncio.gather(*readings)
        assert all(len(events) == len(KINDS) for events in results)
        assert run.journal.loads <= 2 * len(KINDS), "readers must not read the journal each for themselves"
        assert not run.following._tails
