"""The port of the journal: one fenced log per run.

A writer says after which sequence its record belongs; the log stores it there or not at all. That one
rule carries everything else: of two writers one loses and knows it, and a worker that was taken for
dead cannot write into the run any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from malha.api.run.v1.record_pb2 import Record

TIMED = ("decided",)
"""Events whose stored time must be exact at once: a decision counts only if it was stored in time."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored record.

    ``time`` is when the stream stored it (UTC); for a record of one's own that ``append`` answered, to
    a quarter of a second. ``size`` is the record's bytes.
    """

    sequence: int
    time: datetime
    record: Record
    size: int


class Fenced(Exception):  # noqa: N818 - the protocol's own word, and no fault: one of two writers loses
    """The record was not stored and never will be: others wrote first.

    ``entries`` are theirs, everything after the sequence the writer expected, in order. Fold them and
    decide again (``malha.run.rebase``).
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__(f"{len(entries)} records came first")
        self.entries = entries


class Doorbell(Protocol):
    """Rings when someone publishes on the run's subject. A hint, never the truth."""

    def hush(self, epoch: int) -> None:
        """From now on do not ring for records written under ``epoch``: a worker's own."""
        ...

    async def wait(self, timeout: float) -> Record | None:
        """The record that rang, or None after ``timeout`` seconds or a lost connection came back.

        A record that rang may have been refused by the stream: LOAD before acting on it.
        """
        ...


class Journal(Protocol):
    """APPEND and LOAD. Every method raises MalhaError DEPENDENCY_UNAVAILABLE when the log is away."""

    async def append(self, record: Record, *, expected: int) -> Entry:
        """Store ``record`` right after the run's sequence ``expected`` (0: it is the first).

        A lost answer is resolved before this returns: the record is stored or it is not. The entry of
        a record with an event of ``TIMED`` carries the very time it was stored at.

        Raises:
            Fenced: not stored; others wrote after ``expected``.
            MalhaError: JOURNAL_LIMIT for a record larger than one message may be;
                DEPENDENCY_UNAVAILABLE when no answer could be had: it may or may not be stored.
        """
        ...

    async def load(self, tenant: str, run_id: str, *, after: int = 0) -> list[Entry]:
        """The run's records after sequence ``after``, complete up to the moment of the call, in order.

        Empty for a run that does not exist or has nothing newer.
        """
        ...

    async def last_sequence(self, tenant: str, run_id: str) -> int:
        """The sequence of the run's last record; 0 for none. A leader's read, as ``load``."""
        ...

    def doorbell(self, tenant: str, run_id: str) -> AbstractAsyncContextManager[Doorbell]:
        """Ring from now on. Open it before loading, or what is appended between is missed."""
        ...
