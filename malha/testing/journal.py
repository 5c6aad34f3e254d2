"""The journal and the key ring in memory, held to the same contract tests as those on NATS."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import AsyncIterator

from malha.api.run.v1.record_pb2 import Record
from malha.clock import Clock, SystemClock
from malha.errors import ErrorReason, MalhaError
from malha.run.journal import Entry, Fenced
from malha.run.keys import subject
from malha.run.limits import MAX_RECORD_BYTES
from malha.run.sealing import DataKey


class MemoryJournal:
    """``malha.run.Journal`` in one process. ``entries`` is the whole stream, of all runs, in order."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.entries: list[Entry] = []
        self._clock = clock or SystemClock()
        self._by_subject: dict[str, list[Entry]] = {}
        self._bells: dict[str, list[MemoryDoorbell]] = {}

    async def append(self, record: Record, *, expected: int) -> Entry:
        where = subject(record.tenant, record.run_id)
        stored = Record.FromString(record.SerializeToString())  # later changes by the writer do not reach it
        if stored.ByteSize() > MAX_RECORD_BYTES:
            raise MalhaError(ErrorReason.ERROR_REASON_JOURNAL_LIMIT, "the record is too large")
        for bell in self._bells.get(where, ()):
            bell.ring(stored)  # before the fence, as a publish on NATS rings whether or not it is stored
        log = self._by_subject.setdefault(where, [])
        if (log[-1].sequence if log else 0) != expected:
            raise Fenced([entry for entry in log if entry.sequence > expected])
        entry = Entry(len(self.entries) + 1, self._clock.now(), stored, stored.ByteSize())
        log.append(entry)
        self.entries.append(entry)
        return entry

    async def load(self, tenant: str, run_id: str, *, after: int = 0) -> list[Entry]:
        return [
            entry for entry in self._by_subject.get(subject(tenant, run_id), ()) if entry.sequence > after
        ]

    async def last_sequence(self, tenant: str, run_id: str) -> int:
        log = self._by_subject.get(subject(tenant, run_id))
        return log[-1].sequence if log else 0

    @contextlib.asynccontextmanager
    async def doorbell(self, tenant: str, run_id: str) -> AsyncIterator[MemoryDoorbell]:
        bell = MemoryDoorbell()
        bells = self._bells.setdefault(subject(tenant, run_id), [])
        bells.append(bell)
        try:
            yield bell
        finally:
            bells.remove(bell)


class MemoryDoorbell:
    """``malha.run.Doorbell`` of a ``MemoryJournal``."""

    def __init__(self) -> None:
        self._rings: deque[Record] = deque(maxlen=16)
        self._rang = asyncio.Event()
        self._own_epoch = 0

    def hush(self, epoch: int) -> None:
        self._own_epoch = epoch

    def ring(self, record: Record) -> None:
        if not self._own_epoch or record.epoch != self._own_epoch:
            self._rings.append(record)
            self._rang.set()

    async def wait(self, timeout: float) -> Record | None:
        if not self._rings:
            self._rang.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._rang.wait()
            except TimeoutError:
                return None
        return self._rings.popleft()


class MemoryKeyRing:
    """``malha.run.KeyRing`` in one process. ``destroy`` is what erasing a tenant does."""

    def __init__(self) -> None:
        self._keys: dict[str, DataKey] = {}

    async def current(self, tenant: str) -> DataKey:
        return self._keys.setdefault(tenant, DataKey(os.urandom(8).hex(), os.urandom(32)))

    async def find(self, tenant: str, key_id: str) -> DataKey | None:
        key = self._keys.get(tenant)
        return key if key is not None and key.key_id == key_id else None

    def destroy(self, tenant: str) -> None:
        """Forget the tenant's key."""
        self._keys.pop(tenant, None)
