"""Texts that are being written, told to whoever asked for them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from malha.api.gateway.v1.run_pb2 import RunEvent
from malha.api.run.v1.chat_pb2 import ChatMessage, Role
from malha.api.run.v1.record_pb2 import (
    Content,
    StepKind,
)
from malha.client import RunText
from malha.run import (
    fold,
)
from malha.testing.watched import BEGINNING, watched
from malha.testing.worker import PlayedRun


async def test_a_text_being_written_is_told_to_who_asked_and_silence_to_who_did_not() -> None:
    async with watched() as run:
        await run.worker.claim()
        key = await run.worker.start(StepKind.STEP_KIND_MODEL, "offline-1")
        listening = run.following.follow("acme", run.run_id, BEGINNING, idle=30, deltas=True)
        others = run.following.follow("acme", run.run_id, BEGINNING, idle=0.05)
        for stream in (listening, others):
            for _ in range(3):
                assert await anext(stream) is not None
        silence = asyncio.create_task(anext(others))
        text, hearing = RunText(), asyncio.create_task(anext(listening))
        async with asyncio.timeout(5):
            while not silence.done():
                await run.worker.tell(run.deltas, key, ["It ", "is "])
                if hearing.done() and (event := hearing.result()) is not None:
                    text.take(event)
                    hearing = asyncio.create_task(anext(listening))
                await asyncio.sleep(0)
        assert await silence is None, "what others are told is no news to it"
        assert text.text == "It is "
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
        await listening.aclose()
        await others.aclose()


async def test_a_worker_that_lost_the_run_is_not_heard() -> None:
    async with watched() as run:
        await run.worker.claim()
        key = await run.worker.start(StepKind.STEP_KIND_MODEL, "offline-1")
        stream = run.following.follow("acme", run.run_id, BEGINNING, idle=0.05, deltas=True)
        for _ in range(3):
            await anext(stream)
        zombie = PlayedRun(run.journal, run.sealer, "acme", run.run_id)
        zombie.state = fold(await run.journal.load("acme", run.run_id))
        await run.worker.claim(2)
        assert (await anext(stream) or RunEvent()).HasField("claimed")
        await zombie.tell(run.deltas, key, ["It ", "is "])
        assert await anext(stream) is None
        await stream.aclose()


async def test_a_part_that_arrives_after_the_steps_end_is_not_told() -> None:
    async with watched() as run:
        await run.worker.claim()
        key = await run.worker.start(StepKind.STEP_KIND_MODEL, "offline-1")
        reply = ChatMessage(role=Role.ROLE_ASSISTANT, text="It is forty.")
        await run.worker.end(key, Content(message=reply))
        await run.worker.start(StepKind.STEP_KIND_TOOL, "calculator", Content(arguments_json="{}"))
        stream = run.following.follow("acme", run.run_id, BEGINNING, idle=0.05, deltas=True)
        told = [await anext(stream) for _ in range(6)]
        assert [event.WhichOneof("event") for event in told if event is not None][3:] == [
            "delta",
            "step_finished",
            "step_started",
        ]
        await run.worker.tell(run.deltas, key, ["It ", "is "])
        assert await anext(stream) is None
        await stream.aclose()


async def test_hearing_ends_with_the_last_reader_though_its_cancellation_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opening = asyncio.Event()
    async with watched() as run:

        async def answered_as_it_is_cancelled(_: object) -> str:
            opening.set()
            with suppress(asyncio.CancelledError):  # as asyncio.wait_for does on Python 3.11
                await asyncio.Event().wait()
            return "It "

        monkeypatch.setattr(run.view, "text", answered_as_it_is_cancelled)
        await run.worker.claim()
        key = await run.worker.start(StepKind.STEP_KIND_MODEL, "offline-1")
        reading = run.following.follow("acme", run.run_id, BEGINNING, idle=5, deltas=True)
        assert await anext(reading) is not None
        async with asyncio.timeout(5):
            while not opening.is_set():
                await run.worker.tell(run.deltas, key, ["It "])
                await asyncio.sleep(0)
            await reading.aclose()
            while run.following._tasks:  # noqa: ASYNC110 - a set has no event
                await asyncio.sleep(0)


async def test_a_reader_that_comes_after_hearing_failed_hears_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched() as run:
        listen, asked = run.deltas.listen, 0

        def failing_once(tenant: str, run_id: str) -> object:
            nonlocal asked
            asked += 1
            if asked == 1:
                raise ConnectionError
            return listen(tenant, run_id)

        monkeypatch.setattr(run.deltas, "listen", failing_once)
        readers = []
        async with asyncio.timeout(5):
            for times in (1, 2):
                readers.append(run.following.follow("acme", run.run_id, BEGINNING, idle=5, deltas=True))
                assert await anext(readers[-1]) is not None
                while asked < times:  # noqa: ASYNC110 - a count has no event
                    await asyncio.sleep(0)
