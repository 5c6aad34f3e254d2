"""A tail and the journal it reads: in its own name and time, and whatever becomes of the connection."""

from __future__ import annotations

import asyncio

import pytest

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.gateway.v1.run_pb2 import RunEvent
from malha.api.run.v1.record_pb2 import (
    JournalEvent,
    Record,
)
from malha.errors import ErrorReason, MalhaError
from malha.run import (
    Entry,
)
from malha.telemetry import span, traceparent
from malha.testing.watched import BEGINNING, KINDS, FlakyJournal, Watched, watched
from malha.testing.worker import PlayedRun
from malha.wire import acting_for, current
from malha_gateway import tail as module
from malha_gateway.following import Following
from malha_gateway.looking import POLL_SECONDS


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


async def _play_when_back(run: Watched) -> None:
    await run.journal.back.wait()
    await run.worker.play()


async def _ring(run: Watched) -> None:
    """A refused append: it rings, and changes nothing."""
    record = Record(tenant="acme", run_id=run.run_id, events=[JournalEvent()])
    with pytest.raises(Exception, match="came first"):
        await run.journal.append(record, expected=0)
