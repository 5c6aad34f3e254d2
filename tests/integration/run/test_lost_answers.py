"""An append whose answer is lost is stored once or not at all, and the writer knows which."""

import asyncio
from typing import cast

import nats.errors
import pytest
from nats.aio.msg import Msg

from malha.errors import ErrorReason, MalhaError
from malha.run import Fenced
from malha.run.nats_journal import Connection, NatsJournal, subject_log
from malha.testing.clock import FakeClock
from malha.testing.records import RecordsOf


class Faulty:
    """A connection whose next appends go wrong, one fault each; reads pass.

    Faults: "answer lost" (stored, the answer never comes), "request lost" (never sent), "late" (sent
    only after the writer has looked for it and found nothing).
    """

    def __init__(self, connection: Connection, *faults: str) -> None:
        self._connection = connection

        self.faults = list(faults)
        self.appends = 0
        self.reads: list[str] = []
        self._held: list[tuple[str, bytes, dict[str, str]]] = []

    async def until_connected(self, timeout: float) -> None:
        await self._connection.until_connected(timeout)

    async def request(
        self, subject: str, payload: bytes, *, timeout: float, headers: dict[str, str] | None
    ) -> Msg:
        connection = self._connection
        if not subject.startswith("malha."):
            self.reads.append(subject)
            answer = await connection.request(subject, payload, timeout=timeout)
            while self._held:
                late, data, its_headers = self._held.pop()
                await connection.request(late, data, timeout=timeout, headers=its_headers)
            return answer
        self.appends += 1
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "late":
            self._held.append((subject, payload, headers or {}))
        if fault in ("request lost", "late"):
            raise nats.errors.TimeoutError
        answer = await connection.request(subject, payload, timeout=timeout, headers=headers)
        if fault == "answer lost":
            raise nats.errors.TimeoutError
        return answer


def journal_over(faulty: Faulty, *, patience: float = 5.0) -> NatsJournal:
    return NatsJournal(cast(Connection, faulty), patience=patience)


async def test_a_stored_append_whose_answer_is_lost_is_found_by_its_nonce(connection: Connection) -> None:
    run = RecordsOf()
    faulty = Faulty(connection, "answer lost")
    entry = await journal_over(faulty).append(run.accepted(), expected=0)
    stored = await NatsJournal(connection).load(run.tenant, run.run_id)
    assert [found.sequence for found in stored] == [entry.sequence]
    assert faulty.appends == 1


async def test_an_append_that_never_arrived_is_sent_again_and_stored_once(connection: Connection) -> None:
    run = RecordsOf()
    entry = await journal_over(Faulty(connection, "request lost", "request lost")).append(
        run.accepted(), expected=0
    )
    stored = await NatsJournal(connection).load(run.tenant, run.run_id)
    assert [found.sequence for found in stored] == [entry.sequence]


async def test_an_append_that_arrives_after_it_was_looked_for_is_still_the_only_one(
    connection: Connection,
) -> None:
    """The first copy lands between the LOAD and the second copy: the fence refuses the second."""
    run = RecordsOf()
    faulty = Faulty(connection, "late")
    entry = await journal_over(faulty).append(run.accepted(), expected=0)
    stored = await NatsJournal(connection).load(run.tenant, run.run_id)
    assert [found.sequence for found in stored] == [entry.sequence]
    assert faulty.appends == 2


async def test_a_lost_request_overtaken_by_another_writer_is_fenced(connection: Connection) -> None:
    run = RecordsOf()
    plain = NatsJournal(connection)
    accepted = await plain.append(run.accepted(), expected=0)
    await plain.append(run.cancel(), expected=accepted.sequence)
    with pytest.raises(Fenced) as fenced:
        await journal_over(Faulty(connection, "request lost")).append(
            run.claimed(), expected=accepted.sequence
        )
    assert [entry.record for entry in fenced.value.entries] == [run.cancel()]


async def test_a_stored_append_is_known_even_after_others_wrote_behind_it(connection: Connection) -> None:
    run = RecordsOf()
    plain = NatsJournal(connection)
    faulty = Faulty(connection, "answer lost")
    accepted = await plain.append(run.accepted(), expected=0)

    async def follow_at_once() -> None:
        async with plain.doorbell(run.tenant, run.run_id) as bell:
            writing.set()
            await bell.wait(5)
            while True:
                last = await plain.last_sequence(run.tenant, run.run_id)
                if last > accepted.sequence:
                    break
            await plain.append(run.cancel(), expected=last)

    writing = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(follow_at_once())
        await writing.wait()
        claim = await journal_over(faulty).append(run.claimed(), expected=accepted.sequence)
    stored = await plain.load(run.tenant, run.run_id)
    assert [entry.record for entry in stored] == [run.accepted(), run.claimed(), run.cancel()]
    assert stored[1].sequence == claim.sequence


async def test_an_answer_that_cannot_be_had_is_said_to_be_unknown(connection: Connection) -> None:
    run = RecordsOf()

    class Gone(Faulty):
        async def request(self, *_: object, **__: object) -> Msg:
            raise nats.errors.TimeoutError

    with pytest.raises(MalhaError) as unknown:
        await journal_over(Gone(connection), patience=0.05).append(run.accepted(), expected=0)
    assert unknown.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
    assert unknown.value.retry_after


async def test_loading_one_new_record_is_one_question_to_the_leader(connection: Connection) -> None:
    run = RecordsOf()
    faulty = Faulty(connection)
    journal = journal_over(faulty)
    accepted = await journal.append(run.accepted(), expected=0)
    await journal.append(run.cancel(), expected=accepted.sequence)
    faulty.reads.clear()
    assert len(await journal.load(run.tenant, run.run_id, after=accepted.sequence)) == 1
    assert faulty.reads == ["$JS.API.STREAM.MSG.GET.RUNS"]
    assert len(await journal.load(run.tenant, run.run_id)) == 2
    assert set(faulty.reads) == {"$JS.API.STREAM.MSG.GET.RUNS"}, "a direct get may answer from behind"


async def test_a_long_journal_is_read_to_its_end_however_long_that_takes_while_answers_come(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RecordsOf()
    plain = NatsJournal(connection)
    last = await plain.append(run.accepted(), expected=0)
    for _ in range(9):
        last = await plain.append(run.claimed(), expected=last.sequence)
    clock = FakeClock()

    class Slow(Faulty):
        async def request(
            self, subject: str, payload: bytes, *, timeout: float, headers: dict[str, str] | None
        ) -> Msg:
            clock.advance(1)
            return await super().request(subject, payload, timeout=timeout, headers=headers)

    monkeypatch.setattr(subject_log, "time", clock)
    found = await journal_over(Slow(connection), patience=5).load(run.tenant, run.run_id)
    assert len(found) == 10
