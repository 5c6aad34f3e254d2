"""The journal over a subject log: records in, entries out, and the doorbell."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import nats.errors
from google.protobuf.message import DecodeError
from nats.aio.msg import Msg

from malha.api.run.v1.record_pb2 import JournalEvent, Record, StepFinished
from malha.clock import Clock, SystemClock
from malha.errors import ErrorReason, MalhaError
from malha.run.journal import TIMED, Entry, Fenced
from malha.run.keys import subject
from malha.run.limits import MAX_RECORD_BYTES
from malha.run.nats_journal.connection import Connection
from malha.run.nats_journal.streams import RUNS
from malha.run.nats_journal.subject_log import Refused, Stored, SubjectLog, TooLargeError

_RINGS_KEPT = 16
_READ_BACK_SECONDS = 10.0
_PROMPT_SECONDS = 0.25
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NatsJournal:
    """``malha.run.Journal`` on the stream RUNS."""

    def __init__(
        self,
        connection: Connection,
        *,
        clock: Clock | None = None,
        patience: float = 10.0,
        answer_within: float = 2.0,
    ) -> None:
        self._connection = connection
        self._clock = clock or SystemClock()
        self._log = SubjectLog(connection, RUNS, patience=patience, answer_within=answer_within)
        self._read_back: tuple[float, datetime] | None = None
        """A moment of monotonic time, and the stored time of a message that was stored then."""

    async def append(self, record: Record, *, expected: int) -> Entry:
        where = subject(record.tenant, record.run_id)
        data = record.SerializeToString()
        if len(data) > MAX_RECORD_BYTES:
            raise _too_large()
        sent = self._clock.monotonic()
        try:
            sequence = await self._log.append(where, data, expected=expected)
        except Refused as refused:
            raise Fenced([_entry(where, stored) for stored in refused.stored]) from None
        except TooLargeError:
            raise _too_large() from None
        exact = any(event.WhichOneof("event") in TIMED for event in record.events)
        return Entry(sequence, await self._stored_time(sequence, sent, exact=exact), record, len(data))

    async def _stored_time(self, sequence: int, sent: float, *, exact: bool) -> datetime:
        """When a message sent at that monotonic moment was stored, by the broker's clock.

        One in a while is read back; from there monotonic time goes on, so no wall clock here matters.
        """
        now = self._clock.monotonic()
        prompt = now - sent < _PROMPT_SECONDS
        if (
            not exact
            and prompt
            and self._read_back is not None
            and now - self._read_back[0] < _READ_BACK_SECONDS
        ):
            moment, time = self._read_back
            return time + timedelta(seconds=now - moment)
        stored = await self._log.at(sequence)
        if stored is None:
            return self._clock.now()  # erased already
        if prompt:  # else nobody knows which moment of ours it belongs to
            self._read_back = now, stored.time
        return stored.time

    async def load(self, tenant: str, run_id: str, *, after: int = 0) -> list[Entry]:
        where = subject(tenant, run_id)
        return [_entry(where, stored) for stored in await self._log.load(where, after=after)]

    async def last_sequence(self, tenant: str, run_id: str) -> int:
        last = await self._log.last(subject(tenant, run_id))
        return last.sequence if last else 0

    @contextlib.asynccontextmanager
    async def doorbell(self, tenant: str, run_id: str) -> AsyncIterator[NatsDoorbell]:
        bell = NatsDoorbell()
        subscription = await self._connection.nc.subscribe(
            subject(tenant, run_id), cb=bell.on_message, pending_msgs_limit=_RINGS_KEPT * 4
        )
        silence = self._connection.on_reconnect(bell.on_reconnect)
        try:
            yield bell
        finally:
            silence()
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()


class NatsDoorbell:
    """``malha.run.Doorbell``: keeps the last few rings, each only a hint."""

    def __init__(self) -> None:
        self._rings: deque[Record | None] = deque(maxlen=_RINGS_KEPT)
        self._rang = asyncio.Event()
        self._own_epoch = 0

    def hush(self, epoch: int) -> None:
        self._own_epoch = epoch

    async def wait(self, timeout: float) -> Record | None:
        if not self._rings:
            self._rang.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._rang.wait()
            except TimeoutError:
                return None
        return self._rings.popleft()

    async def on_message(self, message: Msg) -> None:
        try:
            record = Record.FromString(message.data)
        except DecodeError:
            record = None  # not a record, so nothing the stream's writers sent; still worth a look
        if record is None or not self._own_epoch or record.epoch != self._own_epoch:
            self._ring(record)

    def on_reconnect(self) -> None:
        self._ring(None)

    def _ring(self, record: Record | None) -> None:
        self._rings.append(record)
        self._rang.set()


def entry_of(message: Msg) -> Entry:
    """The entry that a consumer on RUNS delivered; ValueError for a message of another stream."""
    metadata = message.metadata
    if metadata.stream != RUNS:
        raise ValueError("not a record of the journal")
    # from whole numbers: as a float, the time would differ by a microsecond from what a load answers
    nanoseconds = int(message.reply.split(".")[-2])
    time = _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    record = _record(message.subject, message.data)
    return Entry(metadata.sequence.stream, time, record, len(message.data))


def _entry(where: str, stored: Stored) -> Entry:
    return Entry(stored.sequence, stored.time, _record(where, stored.data), len(stored.data))


def _record(where: str, data: bytes) -> Record:
    """What was stored on the subject. What is no record of that very run, such as an empty message, reads as
    an end without a start: it breaks the one run it stands in, as whatever no correct writer left, and stops
    no reader of others."""
    with contextlib.suppress(DecodeError):
        record = Record.FromString(data)
        if where.endswith(f".{record.tenant}.{record.run_id}"):
            return record
    tenant, run_id = where.split(".")[-2:]
    broken = JournalEvent(step_finished=StepFinished())
    return Record(tenant=tenant, run_id=run_id, events=[broken])


def _too_large() -> MalhaError:
    return MalhaError(
        ErrorReason.ERROR_REASON_JOURNAL_LIMIT, f"one record holds at most {MAX_RECORD_BYTES} bytes"
    )
