"""Many readers, one tail a run.

Whoever streams a run shares one tail of its journal (``malha_gateway.tail``), and keeps a position of its
own. A reader that is slow falls behind the others and goes on from the records: it misses nothing and
delays nobody. One that takes nothing at all for a while is let go, so that what is kept for it does not
outlive its interest; should it come to life again it is told, and may resume after the last event it got.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from types import TracebackType

from malha.api.gateway.v1.run_pb2 import RunEvent
from malha.errors import ErrorReason, MalhaError, invalid
from malha.run import Journal, Position, StreamPosition
from malha.tasks import end
from malha.telemetry import metrics
from malha_gateway.ports import Acting, Deltas
from malha_gateway.tail import Tail, Told
from malha_gateway.telling import Telling
from malha_gateway.view import View

_Key = tuple[str, str]


class Following:
    """The tails of the runs being watched. Use as an async context manager: it owns their tasks.

    Args:
        deltas: where texts are told while they are written.
        acting: lets tails read in their tenants' names, whoever reads them.
        patience: seconds after which a reader that does not take what it was given is let go.
    """

    def __init__(
        self, journal: Journal, deltas: Deltas, view: View, acting: Acting, *, patience: float
    ) -> None:
        self._journal = journal
        self._deltas = deltas
        self._view = view
        self._acting = acting
        self._patience = patience
        self._tails: dict[_Key, Tail] = {}
        # no TaskGroup: what goes wrong with one tail is its readers' to know, and ends nothing else
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Following:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for tail in list(self._tails.values()):
            tail.stop()
        await end(*self._tasks)

    async def follow(
        self, tenant: str, run_id: str, position: StreamPosition, *, idle: float, deltas: bool = False
    ) -> AsyncGenerator[RunEvent | None, None]:
        """The run's events after a position, in order, each once, until the run is over.

        With ``deltas`` the text of each model step is told in parts, before the step's end is. Yields None
        whenever nothing was told for ``idle`` seconds.

        Raises:
            MalhaError: RUN_NOT_FOUND; FIELD_INVALID for a position that the run has not reached;
                READER_TOO_SLOW (metadata after); DEPENDENCY_UNAVAILABLE while the journal cannot be read.
        """
        after = position.event
        telling = Telling(position) if deltas else None
        tail = self._join((tenant, run_id), deltas=deltas)
        reader = _Reader(self, (tenant, run_id), tail, self._patience)
        try:
            known = False
            loop = asyncio.get_running_loop()
            quiet_until = loop.time() + idle
            while True:
                change, over, failure = tail.change, tail.over, tail.failure
                reader.page.extend(await tail.page(after))
                if reader.page:
                    known = True
                    while reader.page:
                        place, event = reader.page.popleft()
                        if telling is not None and (delta := telling.before(event, after)) is not None:
                            reader.given()
                            yield delta
                            reader.taken(after)
                        after = place
                        reader.given()
                        yield event
                        reader.taken(after)
                        if telling is not None:
                            telling.told(event)
                    quiet_until = loop.time() + idle
                    continue
                if failure is not None:
                    raise failure
                if not known and tail.position > Position(0, 0):
                    await self._refuse_unreached(tail, tenant, run_id, after)
                    known = True
                if over:
                    return
                if change.is_set():
                    continue
                text = tail.live
                if telling is not None and text is not None:
                    delta = telling.live(text, after)
                    if delta is not None:
                        reader.given()
                        yield delta
                        reader.taken(after)
                        quiet_until = loop.time() + idle
                        continue
                try:
                    async with asyncio.timeout_at(quiet_until):
                        await change.wait()
                except TimeoutError:
                    reader.given()
                    yield None
                    reader.taken(after)
                    quiet_until = loop.time() + idle
        finally:
            reader.leave()

    async def _refuse_unreached(self, tail: Tail, tenant: str, run_id: str, after: Position) -> None:
        """A stream after an event that never was would wait for ever, or leave out what is still to come."""
        if after <= tail.position:
            return
        # another replica may have told more than is known here: the leader says what there is
        if tail.over or after.sequence > await self._journal.last_sequence(tenant, run_id):
            raise invalid("after", "lies beyond the run's last event")

    def _join(self, key: _Key, *, deltas: bool) -> Tail:
        tail = self._tails.get(key)
        if tail is None or not tail.lasts:
            tail = self._tails[key] = Tail(self._journal, self._deltas, self._view, self._acting, *key)
            self._own(tail.start())
            metrics.GATEWAY_RUNS_FOLLOWED.inc()
        if deltas and (listening := tail.listen()) is not None:
            self._own(listening)
        tail.readers += 1
        return tail

    def _own(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def left(self, key: _Key, tail: Tail) -> None:
        """A reader is gone; the last one takes the tail with it."""
        tail.readers -= 1
        if not tail.readers:
            tail.stop()
            metrics.GATEWAY_RUNS_FOLLOWED.dec()
            if self._tails.get(key) is tail:
                del self._tails[key]


class _Reader:
    """One reader's hold on a tail, given up when it leaves or takes nothing for too long."""

    __slots__ = ("_following", "_gone", "_key", "_patience", "_tail", "_timer", "page")

    def __init__(self, following: Following, key: _Key, tail: Tail, patience: float) -> None:
        self._following = following
        self._key = key
        self._tail: Tail | None = tail
        self._patience = patience
        self._timer: asyncio.TimerHandle | None = None
        self._gone = False
        self.page: deque[Told] = deque()
        """What it is given next."""

    def given(self) -> None:
        """It has something to take, from now on."""
        self._timer = asyncio.get_running_loop().call_later(self._patience, self._let_go)

    def taken(self, after: Position) -> None:
        """It took it. Raises READER_TOO_SLOW if that was too late."""
        assert self._timer is not None
        self._timer.cancel()
        if self._gone:
            raise MalhaError(
                ErrorReason.ERROR_REASON_READER_TOO_SLOW,
                f"nothing was read for {self._patience:g} seconds; go on after {after}",
                metadata={"after": str(after)},
            )

    def leave(self) -> None:
        """It reads no more."""
        if self._timer is not None:
            self._timer.cancel()
        self.page.clear()
        if self._tail is not None:
            self._following.left(self._key, self._tail)
            self._tail = None

    def _let_go(self) -> None:
        self._gone = True
        metrics.GATEWAY_READERS_LET_GO.inc()
        self.leave()
