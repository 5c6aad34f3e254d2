"""Streams of one run: the same events in order, once each, whatever was cut."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malha.api.gateway.v1.run_pb2 import RunEvent, RunStatus, StepStatus
from malha.api.run.v1.record_pb2 import (
    FinalStatus,
    StepKind,
)
from malha.errors import ErrorReason, MalhaError
from malha.run import (
    Position,
    StreamPosition,
    parse_stream_position,
)
from malha.testing.watched import BEGINNING, KINDS, watched
from malha.testing.worker import PlayedRun
from malha_gateway import sse
from malha_gateway import tail as module
from malha_gateway.view import NO_LLM


async def test_a_stream_tells_the_whole_run_in_order_and_ends_with_it() -> None:
    async with watched() as run:
        reading = asyncio.create_task(run.read())
        await run.worker.play()
        events = await reading
    assert [event.WhichOneof("event") for event in events] == KINDS
    assert events[0].accepted.trace_id == "ab" * 16
    assert events[2].step_started.status == StepStatus.STEP_STATUS_RUNNING
    assert events[3].step_finished.tool_calls[0].tool == "calculator"
    assert events[4].step_started.arguments_json == '{"expression": "17 * 23"}'
    assert events[5].step_finished.text == "391"
    assert events[8].answered.model_note == NO_LLM
    assert events[8].answered.citations[0].section == "A > B"
    finished = events[9].finished
    assert finished.status == RunStatus.RUN_STATUS_SUCCEEDED
    assert finished.answer == "391"
    assert not finished.steps
    assert finished.cost.amount_microusd == 3 + 7 + 3
    assert finished.position == events[9].position


@settings(max_examples=30)
@given(
    cuts=st.lists(st.integers(1, 12), max_size=6),
    window=st.integers(1, 12),
    page=st.integers(1, 12),
    tools=st.integers(0, 3),
)
async def test_whatever_is_cut_events_come_once_each_and_in_order(
    cuts: list[int], window: int, page: int, tools: int
) -> None:
    """The reader hangs up after every cut and comes back with the last position it saw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WINDOW_EVENTS", window)
        patch.setattr(module, "PAGE_EVENTS", page)
        async with watched() as run:
            playing = asyncio.create_task(run.worker.play(tool_calls=tools))
            seen: list[RunEvent] = []
            after = BEGINNING
            for cut in [*cuts, 10_000]:
                part = await run.read(after, at_most=cut)
                seen += part
                after = parse_stream_position(seen[-1].position) if seen else after
            await playing
            uncut = await run.read()
        assert [event.SerializeToString(deterministic=True) for event in seen] == [
            event.SerializeToString(deterministic=True) for event in uncut
        ]
        assert len({event.position for event in seen}) == len(seen) == 6 + 4 * tools


async def test_a_position_that_the_run_has_not_reached_is_refused() -> None:
    async with watched() as run:
        for over in (False, True):
            for after in (StreamPosition(Position(10**6, 0)), StreamPosition(Position(10**18, 3))):
                with pytest.raises(MalhaError) as raised:
                    await anext(run.following.follow("acme", run.run_id, after, idle=5))
                assert raised.value.violations[0][0] == "after"
            if not over:
                await run.worker.play()
        assert not run.following._tails


async def test_the_end_of_an_open_run_is_a_place_to_wait_and_that_of_a_finished_one_is_the_end() -> None:
    async with watched() as run:
        first = (await run.read(at_most=1))[0]
        stream = run.following.follow("acme", run.run_id, parse_stream_position(first.position), idle=0.001)
        assert await anext(stream) is None, "nothing new, and no refusal"
        await run.worker.play()
        rest = [event async for event in stream if event is not None]
        assert len(rest) == len(KINDS) - 1
        assert await run.read(parse_stream_position(rest[-1].position)) == []


async def test_what_another_replica_told_already_is_no_position_beyond_the_end() -> None:
    """This replica reads the journal a moment later than the one the reader comes from."""
    async with watched() as run:
        stream = run.following.follow("acme", run.run_id, BEGINNING, idle=30)
        await anext(stream)
        await run.worker.claim()
        run.journal.lag = 50
        claimed = StreamPosition(Position(await run.journal.last_sequence("acme", run.run_id), 0))
        reading = asyncio.create_task(run.read(claimed, at_most=1))
        for _ in range(20):
            await asyncio.sleep(0)
        run.journal.lag = 0
        await run.worker.model_says("391")
        async with asyncio.timeout(5):
            assert (await reading)[0].WhichOneof("event") == "step_started"
        await stream.aclose()


async def test_an_unknown_run_is_not_found() -> None:
    async with watched() as run:
        with pytest.raises(MalhaError) as raised:
            await anext(run.following.follow("other", run.run_id, BEGINNING, idle=5))
    assert raised.value.reason == ErrorReason.ERROR_REASON_RUN_NOT_FOUND


async def test_silence_is_told_so_that_the_connection_can_be_kept() -> None:
    async with watched() as run:
        stream = run.following.follow("acme", run.run_id, BEGINNING, idle=0.001)
        assert await anext(stream) is not None
        assert await anext(stream) is None
        await stream.aclose()


async def test_a_waiting_run_and_a_failed_step_tell_why() -> None:
    async with watched() as run:
        await run.worker.claim()
        key = await run.worker.start(StepKind.STEP_KIND_TOOL, "append_line")
        await run.worker.park(key)
        events = await run.read(at_most=4)
        assert events[-1].waiting.reason == "OUTCOME_UNKNOWN"
        assert events[-1].waiting.metadata["key"] == key
        await run.worker.finish(FinalStatus.FINAL_STATUS_FAILED, "TOOL_FAILED", "it broke", {"tool": "t"})
        last = (await run.read())[-1].finished
    assert last.status == RunStatus.RUN_STATUS_FAILED
    assert (last.error.reason, last.error.message) == ("TOOL_FAILED", "it broke")
    assert last.error.metadata["tool"] == "t"


async def test_an_event_is_one_block_of_server_sent_events() -> None:
    async with watched() as run:
        await run.worker.play(answer="linha 1\nlinha 2: não")
        events = await run.read()
    block = sse.encode(events[8]).decode()
    identity, kind, data, *end = block.split("\n")
    assert identity == f"id: {events[8].position}"
    assert kind == "event: answered"
    assert end == ["", ""], "no newline of the text breaks the block"
    told = json.loads(data.removeprefix("data: "))
    assert told["answered"]["text"] == "linha 1\nlinha 2: não"
    assert told["answered"]["model_note"] == NO_LLM
    assert sse.HEARTBEAT.startswith(b":")


async def test_whoever_comes_back_to_a_dead_run_that_was_replayed_hears_what_follows() -> None:
    """Also where a reader who stands still keeps the tail that ended when the run died."""
    async with watched() as run:
        await run.worker.claim()
        await run.worker.finish(FinalStatus.FINAL_STATUS_DEAD, "TOO_MANY_DELIVERIES", "given up")
        died = await run.read()
        still = run.following.follow("acme", run.run_id, BEGINNING, idle=5)
        async with aclosing(still):
            await anext(still)
            while not run.following._tails["acme", run.run_id].over:  # noqa: ASYNC110 - nobody is told of it
                await asyncio.sleep(0)
            await run.replay()
            await PlayedRun(run.journal, run.sealer, "acme", run.run_id).play()
            position = parse_stream_position(died[-1].position)
            rest = [event.WhichOneof("event") for event in await run.read(position)]
    assert rest[:2] == ["replayed", "claimed"]
    assert rest[-1] == "finished"
