"""A worker's hold on one run: what it may write, how long it may go on, and when it must let go.

Everything a worker writes into a run goes through its lease, under the epoch of its claim. Others may
write too: a cancellation, or the claim of a worker that took this one for dead. The journal's fence
tells at the next append at the latest, the doorbell sooner; what is under way is interrupted then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from malha.api.run.v1.record_pb2 import Content, Finished, Record, Sealed
from malha.clock import Clock
from malha.errors import ErrorReason, MalhaError
from malha.run import (
    Doorbell,
    Entry,
    Fenced,
    Journal,
    Rebase,
    RunState,
    Sealer,
    cancelled_as_asked,
    check_room,
    fold,
    rebase,
)
from malha.timestamps import stamp
from malha_planner.notes import Notes
from malha_planner.ports import WorkItem

T = TypeVar("T")

_ENDINGS = {"claimed", "cancel_requested", "finished"}
"""What others write into a run that ends this worker's part in it."""
_LOOK_AGAIN = (0.02, 0.1, 0.4, 1.5)
"""Seconds after a ring at which the journal is looked at once more."""
_HANDING_OVER = 2.0
"""Seconds that a process which must end has left for a last word on each of its runs."""
_GRACE = 10.0
"""Seconds in which a run is closed, beyond its deadline if need be."""


class Lost(Exception):  # noqa: N818 - a turn of events, not an error
    """The run is no longer this worker's, or nobody can tell: send nothing more for its item."""


class Interrupted(Exception):  # noqa: N818 - a turn of events, not an error
    """A call was ended because others wrote into the run: `catch_up` tells what."""


class CancelSeen(Exception):  # noqa: N818 - a turn of events, not an error
    """Someone asked for the run's end, and it is still ours to write."""


class HandedOver(Exception):  # noqa: N818 - a turn of events, not an error
    """This process ends: the run is left to the next worker, between two of its steps."""


class Lease:
    """One claimed run.

    Args:
        state: the fold up to and including the claim; moved on by every append.
        clock: monotonic time, counted on from the claim's stored time.
        ack_wait: seconds after which the queue gives the item to someone else.
    """

    def __init__(
        self, journal: Journal, sealer: Sealer, state: RunState, clock: Clock, *, ack_wait: float
    ) -> None:
        assert state.claimed_at is not None
        self.state = state
        self.epoch = state.epoch
        self.notes = Notes(state)
        """What the next record holds."""
        self._journal = journal
        self._sealer = sealer
        self._clock = clock
        self._ack_wait = ack_wait
        self._claimed_at = clock.monotonic()
        wall_time = state.accepted.limits.max_wall_time
        used = (state.claimed_at - state.begun_at - state.waited).total_seconds()
        self._deadline = self._claimed_at + wall_time.seconds + wall_time.nanos / 1e9 - used
        self._interrupted = False
        self._closing = False
        self._scopes: dict[asyncio.Timeout, float] = {}
        """What is under way, and until when it should be over."""

    def remaining(self) -> float:
        """Seconds of the run's wall time that are left, waits for people not counted; negative once over.
        While the run is closed: of the time for that."""
        return self._deadline - self._clock.monotonic()

    def close(self) -> None:
        """From here on the run is brought to its end, or let go: its money needs time of its own for that,
        and nothing that others write makes it less owed."""
        self._closing = True
        self._interrupted = False
        self._deadline = max(self._deadline, self._clock.monotonic() + _GRACE)

    def now(self) -> datetime:
        """The journal's time: the claim's stored time, counted on."""
        assert self.state.claimed_at is not None
        return self.state.claimed_at + timedelta(seconds=self._clock.monotonic() - self._claimed_at)

    async def opened(self, kind: str, sealed: Sealed) -> Content:
        """What an event of this run holds, in the clear."""
        return await self._sealer.open(self.state.tenant, self.state.run_id, kind, sealed)

    async def cancelled(self) -> tuple[Finished, Content]:
        """How this run ends because someone asked for it."""
        return await cancelled_as_asked(self.state, self._sealer)

    # what is written

    async def write(self) -> None:
        """Append the noted events as one record.

        Raises:
            CancelSeen: not appended, the events stay noted.
            Lost: another worker has the run, or the journal is away and nobody knows.
            MalhaError: JOURNAL_LIMIT; not appended.
        """
        while self.notes.events:
            written_at = stamp(self._clock.now())
            record = Record(
                tenant=self.state.tenant, run_id=self.state.run_id, epoch=self.epoch, written_at=written_at
            )
            await self.notes.fill(record, self._sealer)
            check_room(self.state, record)
            await self._append(record)
            self.notes.stored(record)

    async def _append(self, record: Record) -> None:
        while True:
            try:
                entry = await self._journal.append(record, expected=self.state.last_sequence)
            except Fenced as fenced:
                self._fold(fenced)
            except MalhaError as error:
                if error.reason != ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE:
                    raise
                raise Lost from error
            else:
                fold([entry], self.state)
                return

    async def hand_over(self) -> bool:
        """Say that this claim ends for no fault of the run, if that can be said in time: else it counts.

        Whether the run was still this worker's; its item is not given back from under a new owner.
        """
        try:
            async with asyncio.timeout(_HANDING_OVER):
                # a claim that brought a result does not count anyway
                newer = await (self._say_handed_over() if self.state.fruitless_claims else self._newer())
        except (MalhaError, TimeoutError):
            return False
        fold(newer, self.state)
        return rebase(self.state, self.epoch) is not Rebase.FENCED

    async def _say_handed_over(self) -> Sequence[Entry]:
        """Append it; what others wrote, where that kept it from being appended."""
        # without an epoch: what earlier owners held may not be released yet, and an epoch would say so
        record = Record(tenant=self.state.tenant, run_id=self.state.run_id)
        record.written_at.CopyFrom(stamp(self._clock.now()))
        record.events.add().handed_over.SetInParent()
        try:
            await self._journal.append(record, expected=self.state.last_sequence)
        except Fenced as fenced:
            return fenced.entries
        return ()

    async def catch_up(self) -> None:
        """Learn what others wrote. Raises CancelSeen or Lost, as it ends this worker's part."""
        try:
            entries = await self._newer()
        except MalhaError as error:
            raise Lost from error
        self._fold(Fenced(entries))
        raise Lost

    def _fold(self, fenced: Fenced) -> None:
        fold(fenced.entries, self.state)
        verdict = rebase(self.state, self.epoch)
        if verdict is Rebase.FENCED:
            raise Lost
        if verdict is Rebase.CANCELLED and not self._ends_cancelled:
            raise CancelSeen

    @property
    def _ends_cancelled(self) -> bool:
        """Whether the next record ends the run as cancelled: no news of a cancellation then."""
        return any(
            event.WhichOneof("event") == "finished" and event.finished.error_reason == "CANCELLED"
            for event in self.notes.events
        )

    # how long it goes on

    async def within(self, call: Awaitable[T], seconds: float) -> T:
        """The result of a call, unless time, a cancellation or a takeover ends it.

        Raises:
            Interrupted: others wrote into the run.
            MalhaError: DEADLINE_EXCEEDED after `seconds` or at the run's deadline.
        """
        seconds = min(seconds, self.remaining())
        return await self._interruptible(call, seconds, asyncio.get_running_loop().time() + seconds)

    async def pause(self, seconds: float) -> None:
        """Sleep, unless others write into the run: Interrupted. A process that stands still sleeps longer,
        and nothing worse: only a call can be late."""
        await self._interruptible(self._clock.sleep(seconds), seconds + 1, None)

    async def _interruptible(self, call: Awaitable[T], seconds: float, until: float | None) -> T:
        over = self._clock.monotonic() + seconds
        try:
            async with asyncio.timeout_at(
                asyncio.get_running_loop().time() if self._interrupted else until
            ) as scope:
                self._scopes[scope] = over
                return await call
        except TimeoutError:
            if not scope.expired():
                raise
        finally:
            self._scopes.pop(scope, None)
        if self._interrupted:
            raise Interrupted
        raise MalhaError(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, "the time allowed is used up")

    @property
    def interrupted(self) -> bool:
        """Whether others are known to have ended this worker's part."""
        return self._interrupted

    def interrupt(self) -> None:
        """End every call under way, now; but for those that close the run."""
        if self._closing:
            return
        self._interrupted = True
        now = asyncio.get_running_loop().time()
        for scope in self._scopes:
            if not scope.expired():
                scope.reschedule(now)

    async def beat(self, item: WorkItem, bell: Doorbell) -> None:
        """Listen for others and keep the item, until the run is not ours or a call overruns its time."""
        bell.hush(self.epoch)
        every = self._ack_wait / 3
        due = self._clock.monotonic() + every
        looks: list[float] = []
        while True:
            until = min(due, *looks) if looks else due
            rang = await bell.wait(max(0.0, until - self._clock.monotonic()))
            if rang is not None and self._is_own_claim(rang):
                continue
            now = self._clock.monotonic()
            # A record rings when it is published, a moment before it is stored (or refused): look again.
            looks = (
                [now + after for after in _LOOK_AGAIN] if rang is not None else [t for t in looks if t > now]
            )
            try:
                mine = await self._is_mine()
            except MalhaError:
                continue  # nobody can tell, so nothing is sent either
            if not mine:
                self.interrupt()
            if now >= due:
                due = now + every
                if mine and not self._overrun():
                    await item.in_progress()

    def _is_own_claim(self, record: Record) -> bool:
        return any(event.HasField("claimed") and event.claimed == self.state.claim for event in record.events)

    def _overrun(self) -> bool:
        """Whether something here is stuck: then someone else had better take the item."""
        until = max(self._scopes.values()) + 1 if self._scopes else self._deadline + _GRACE
        return self._clock.monotonic() > until

    async def _is_mine(self) -> bool:
        """Whether nobody ended this worker's part since its last append (a leader's read)."""
        return not any(
            entry.record.epoch != self.epoch and event.WhichOneof("event") in _ENDINGS
            for entry in await self._newer()
            for event in entry.record.events
        )

    async def _newer(self) -> Sequence[Entry]:
        """What was stored since this worker's last append."""
        state = self.state
        return await self._journal.load(state.tenant, state.run_id, after=state.last_sequence)
