"""What a worker has noted for the next record of its run: the events, their content, their costs."""

from __future__ import annotations

from collections.abc import Iterable

from malha.api.common.v1.usage_pb2 import Cost
from malha.api.cost.v1.cost_service_pb2 import Settled
from malha.api.run.v1.record_pb2 import (
    Abandonment,
    Content,
    JournalEvent,
    Record,
    StepAbandoned,
    StepFinished,
    StepSettled,
)
from malha.run import RunState, Sealer

_RECORD_BYTES = 800_000
"""What one record is filled with; a message holds a little more."""
_BEGINNINGS = {"proposed", "parked", "step_started", "answered", "finished"}
_GUESSES = {Abandonment.ABANDONMENT_UNKNOWN, Abandonment.ABANDONMENT_INTERRUPTED}


class Notes:
    """The events that wait to be stored, in order.

    Args:
        state: the fold so far; whoever stores records moves it on.
    """

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._noted: list[tuple[JournalEvent, Content | None]] = []
        self._costs: dict[str, Cost] = {}
        """Of steps whose end is still to be noted, by key."""

    @property
    def events(self) -> list[JournalEvent]:
        """What waits."""
        return [event for event, _ in self._noted]

    def add(self, event: JournalEvent, content: Content | None = None) -> None:
        """Note an event; the end of a step with its cost, where that is known."""
        self._noted.append((event, content))
        end = _end_of(event)
        if end is not None and (cost := self._costs.pop(end.key, None)) is not None:
            end.cost.CopyFrom(cost)

    def price(self, settled: Iterable[Settled]) -> None:
        """Enter what the ledger holds: into the ends of steps that are noted, beside those stored already."""
        noted = {end.key: end for event, _ in self._noted if (end := _end_of(event)) is not None}
        for one in settled:
            attempt = self._state.attempt(one.key)
            if (end := noted.get(one.key)) is not None:
                end.cost.CopyFrom(one.cost)
            elif attempt is None or attempt.open:
                self._costs[one.key] = one.cost
            elif attempt.cost is None:
                settled_later = StepSettled(key=one.key, step=attempt.step, cost=one.cost)
                self.add(JournalEvent(step_settled=settled_later))

    def forget_beginnings(self) -> None:
        """Drop noted starts, questions, answer and end: what a cancelled run does not do any more. A call
        that is answered without being made ends where it starts, so its end goes too."""
        started = {event.step_started.key for event, _ in self._noted if event.HasField("step_started")}

        def stays(event: JournalEvent) -> bool:
            end = _end_of(event)
            return event.WhichOneof("event") not in _BEGINNINGS and (end is None or end.key not in started)

        self._noted = [one for one in self._noted if stays(one[0])]

    def forget_guesses(self) -> None:
        """Drop the noted ends of calls of which nothing is known. They end a run; where it goes on after all,
        more may be learnt, and a tool that may have acted must not look like one to be called again."""

        def stays(event: JournalEvent) -> bool:
            return event.step_abandoned.how not in _GUESSES or event.step_abandoned.HasField("usage")

        self._noted = [one for one in self._noted if stays(one[0])]

    async def fill(self, record: Record, sealer: Sealer) -> None:
        """Put as many of the events into a record as one message holds; they stay noted."""
        room = _RECORD_BYTES
        for event, content in self._noted:
            if content is not None and not event.HasField("content"):
                kind = event.WhichOneof("event") or ""
                event.content.CopyFrom(await sealer.seal(record.tenant, record.run_id, kind, content))
            room -= event.ByteSize()
            if room < 0 and record.events:
                break
            record.events.append(event)

    def stored(self, record: Record) -> None:
        """Forget the events of a record that is stored."""
        del self._noted[: len(record.events)]


def _end_of(event: JournalEvent) -> StepFinished | StepAbandoned | None:
    match event.WhichOneof("event"):
        case "step_finished":
            return event.step_finished
        case "step_abandoned":
            return event.step_abandoned
        case _:
            return None
