"""Streams of one run: nothing lost, nothing twice, nothing hoarded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.gateway.v1.run_pb2 import RunEvent, RunStatus, StepStatus
from malha.api.run.v1.chat_pb2 import ChatMessage, Role
from malha.api.run.v1.record_pb2 import (
    Accepted,
    Content,
    FinalStatus,
    JournalEvent,
    Record,
    Replayed,
    StepKind,
)
from malha.client import RunText
from malha.errors import ErrorReason, MalhaError, unavailable
from malha.run import (
    Entry,
    Position,
    Sealer,
    StreamPosition,
    fold,
    parse_stream_position,
    run_id_for,
)
from malha.telemetry import span, traceparent
from malha.testing.journal import MemoryJournal, MemoryKeyRing
from malha.testing.planner import MemoryDeltas
from malha.testing.worker import PlayedRun
from malha.wire import acting_for, current
from malha_gateway import sse
from malha_gateway import tail as module
from malha_gateway.following import Following
from malha_gateway.looking import POLL_SECONDS
from malha_gateway.view import NO_LLM, View

BEGINNING = StreamPosition(Position(0, 0))


class FlakyJournal(MemoryJournal):
    """Refuses its next reads when told to, or hides the last record from them, and counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals = 0
        self.lag = 0
        self.loads = 0
        self.back = asyncio.Event()

    async def load(self, tenant: str, run_id: str, *, after: int = 0) -> list[Entry]:
        self.loads += 1
        if self.refusals:
            self.refusals -= 1
            if not self.refusals:
                self.back.set()
            raise unavailable("journal")
        entries = await super().load(tenant, run_id, after=after)
        if self.lag and entries:
            self.lag -= 1
            return entries[:-1]
        return entries


class Watched:
    """A run, its worker and a following."""

    def __init__(self, patience: float = 30.0) -> None:
        self.journal = FlakyJournal()
        self.sealer = Sealer(MemoryKeyRing())
        self.view = View(self.sealer)
        self.run_id = run_id_for("acme", None)
        self.worker = PlayedRun(self.journal, self.sealer, "acme", self.run_id)
        self.deltas = MemoryDeltas()
        self.following = Following(self.journal, self.deltas, self.view, acting_for, patience=patience)

    async def accept(self) -> None:
        content = await self.sealer.seal("acme", self.run_id, "accepted", Content(text="17 * 23?"))
        accepted = Accepted(
            principal=Principal(tenant="acme"),
            agent="default",
            traceparent="00-" + "ab" * 16 + "-" + "cd" * 8 + "-01",
        )
        record = Record(
            tenant="acme", run_id=self.run_id, events=[JournalEvent(accepted=accepted, content=content)]
        )
        await self.journal.append(record, expected=0)

    async def replay(self) -> None:
        entries = await self.journal.load("acme", self.run_id)
        record = Record(
            tenant="acme", run_id=self.run_id, events=[JournalEvent(replayed=Replayed(by="otto"))]
        )
        await self.journal.append(record, expected=entries[-1].sequence)

    async def read(self, after: StreamPosition = BEGINNING, *, at_most: int = 10_000) -> list[RunEvent]:
        events: list[RunEvent] = []
        async with aclosing(self.following.follow("acme", self.run_id, after, idle=5)) as stream:
            async for event in stream:
                if event is not None:
                    events.append(event)
                if len(events) == at_most:
                    break
        return events


@asynccontextmanager
async def watched(patience: float = 30.0) -> AsyncIterator[Watched]:
    made = Watched(patience)
    await made.accept()
    async with made.following:
        yield made


KINDS = [
    "accepted",
    "claimed",
    *["step_started", "step_finished"] * 3,
    "answered",
    "finished",
]


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


async def test_a_reader_that_takes_nothing_delays_no_other() -> None:
    async with watched() as run:
        stuck = run.following.follow("acme", run.run_id, BEGINNING, idle=5)
        await anext(stuck)
        reading = asyncio.create_task(run.read())
        await run.worker.play()
        async with asyncio.timeout(5):
            assert len(await reading) == len(KINDS)
        await stuck.aclose()


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


class AskedJournal(FlakyJournal):
    """Read on behalf of a call, as the archive is: where that has no time left, nothing is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Principal, str]] = []

    async def load(self, tenant: str, run_id: str, *, after: int = 0) -> list[Entry]:
        call = current()
        self.calls.append((call.principal, traceparent()))
        if not call.remaining():
            raise MalhaError(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, "no time is left")
        return await super().load(tenant, run_id, after=after)


async def test_a_tail_is_read_in_its_own_name_and_time_and_not_in_those_of_the_reader_it_began_with() -> None:
    """Whoever joins shares it: the first reader's deadline, key and trace are nothing to the second."""
    run = Watched()
    journal = AskedJournal()
    run.following = Following(journal, run.deltas, run.view, acting_for, patience=30)
    run.journal = journal
    with acting_for(Principal(tenant="acme"), timeout=60):
        await run.accept()
    async with run.following, asyncio.timeout(5):
        first = run.following.follow("acme", run.run_id, BEGINNING, idle=5)
        late = Principal(tenant="acme", subject="ana", key_id="k1")
        with (
            acting_for(late, timeout=0),
            span("StreamRun", parent="00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"),
        ):
            assert await anext(first) is not None
        assert await run.read(at_most=1)
        await first.aclose()
    assert journal.calls == [(Principal(tenant="acme", subject="gateway"), "")]


class DeafJournal(FlakyJournal):
    """Loses a cancellation that arrives while it reads, as ``asyncio.wait_for`` may (cpython issue 86296)."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = asyncio.Event()
        self.deaf = False
        self.lost = 0

    async def load(self, tenant: str, run_id: str, *, after: int = 0) -> list[Entry]:
        if self.deaf:
            self.reading.set()
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                self.lost += 1
        return await super().load(tenant, run_id, after=after)


async def test_a_tail_ends_with_its_last_reader_even_if_the_cancellation_is_lost() -> None:
    async with asyncio.timeout(5):
        run = Watched()
        journal = run.journal = DeafJournal()
        run.following = Following(journal, run.deltas, run.view, acting_for, patience=30)
        run.worker = PlayedRun(journal, run.sealer, "acme", run.run_id)
        await run.accept()
        async with run.following:
            stream = run.following.follow("acme", run.run_id, BEGINNING, idle=30)
            await anext(stream)
            journal.deaf = True
            await _ring(run)
            await journal.reading.wait()
            await stream.aclose()
        assert journal.lost == 1
        assert not any(journal._bells.values())


class ClosedJournal(FlakyJournal):
    """Its connection is closed while it is read, which cancels whoever waits for an answer."""

    closed = False

    async def load(self, tenant: str, run_id: str, *, after: int = 0) -> list[Entry]:
        if self.closed:
            raise asyncio.CancelledError
        return await super().load(tenant, run_id, after=after)


async def test_readers_are_told_when_what_they_read_from_was_closed() -> None:
    async with asyncio.timeout(5):
        run = Watched()
        journal = run.journal = ClosedJournal()
        run.following = Following(journal, run.deltas, run.view, acting_for, patience=30)
        await run.accept()
        async with run.following:
            stream = run.following.follow("acme", run.run_id, BEGINNING, idle=30)
            await anext(stream)
            journal.closed = True
            await _ring(run)
            with pytest.raises(MalhaError) as raised:
                await anext(stream)
    assert raised.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE


async def test_many_readers_share_one_follower_and_leave_nothing_behind() -> None:
    async with watched() as run:
        readings = [asyncio.create_task(run.read()) for _ in range(50)]
        await asyncio.sleep(0)
        await run.worker.play()
        results = await asyncio.gather(*readings)
        assert all(len(events) == len(KINDS) for events in results)
        assert run.journal.loads <= 2 * len(KINDS), "readers must not read the journal each for themselves"
        assert not run.following._tails


async def test_an_unknown_run_is_not_found() -> None:
    async with watched() as run:
        with pytest.raises(MalhaError) as raised:
            await anext(run.following.follow("other", run.run_id, BEGINNING, idle=5))
    assert raised.value.reason == ErrorReason.ERROR_REASON_RUN_NOT_FOUND


async def test_a_stream_outlives_an_absence_of_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0)
    async with watched() as run:
        stream = run.following.follow("acme", run.run_id, BEGINNING, idle=5)
        await anext(stream)
        run.journal.refusals = 3
        await _ring(run)
        async with asyncio.timeout(5):
            playing = asyncio.create_task(_play_when_back(run))
            rest = [event async for event in stream if event is not None]
            await playing
        await stream.aclose()
    assert rest[-1].WhichOneof("event") == "finished"
    assert len(rest) == len(KINDS) - 1


async def _play_when_back(run: Watched) -> None:
    await run.journal.back.wait()
    await run.worker.play()


async def _ring(run: Watched) -> None:
    """A refused append: it rings, and changes nothing."""
    record = Record(tenant="acme", run_id=run.run_id, events=[JournalEvent()])
    with pytest.raises(Exception, match="came first"):
        await run.journal.append(record, expected=0)


async def test_records_that_ring_before_they_can_be_read_are_looked_for_again_at_once() -> None:
    async with watched() as run:
        stream = run.following.follow("acme", run.run_id, BEGINNING, idle=30)
        await anext(stream)
        await run.worker.claim()
        run.journal.lag = 4
        async with asyncio.timeout(POLL_SECONDS / 2):
            assert (await anext(stream) or RunEvent()).WhichOneof("event") == "claimed"
            await run.worker.model_says("391")
            run.journal.lag = 3
            await run.worker.answer("391")
            rest = [event async for event in stream if event is not None]
        await stream.aclose()
    assert rest[-1].WhichOneof("event") == "finished"


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
