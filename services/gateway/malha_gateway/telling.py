"""What one reader was told of the text that a model is writing, and what it is to be told next.

A reader is always told what makes its text the one that is known here: the rest of it where that goes on
from what it was told, else all of it. So nothing need be kept of what a slow reader missed; and when a step's
end is told, with the text as it stands in the journal, every reader has just that, whatever was lost.
"""

from __future__ import annotations

from malha.api.gateway.v1.run_pb2 import RunEvent, StepStatus, TextDelta
from malha.api.run.v1.record_pb2 import StepKind
from malha.run import LiveText, Position, StreamPosition, parse_step_key


class Telling:
    """One reader's part. ``after`` is how far its stream was told before it came."""

    def __init__(self, after: StreamPosition) -> None:
        self._key = ""
        """The attempt whose text it was told; empty where only its epoch is known."""
        self._epoch = after.epoch
        self._length = after.offset
        self._told: str | None = None if after.offset else ""
        """That text; None where only its length is known, for it was told elsewhere."""

    def live(self, text: LiveText, after: Position) -> RunEvent | None:
        """What the reader is to be told of a text that is being written; None where it has all of it."""
        if self._told is None and self._is_of(text.key, text.epoch) and len(text.text) < self._length:
            return None  # it was told more than is known here yet
        return self._next(text.key, text.step, text.epoch, text.text, after, anew=text.anew)

    def before(self, event: RunEvent, after: Position) -> RunEvent | None:
        """What the reader is to be told before an event that ends a text; None where it has all of it.

        An attempt that failed leaves no text: what was told of it is void.
        """
        step = event.step_finished
        if step.kind != StepKind.STEP_KIND_MODEL:
            return None
        blocked = step.status == StepStatus.STEP_STATUS_BLOCKED
        epoch = parse_step_key(step.key).epoch
        return self._next(step.key, step.step, epoch, step.text, after, anew=blocked)

    def told(self, event: RunEvent) -> None:
        """The reader was told an event of the journal: with the start of a model step a text begins."""
        if event.step_started.kind == StepKind.STEP_KIND_MODEL:
            self._key = event.step_started.key
            self._told, self._length = "", 0

    def _is_of(self, key: str, epoch: int) -> bool:
        """Whether what the reader was told is that attempt's."""
        return key == self._key if self._key else epoch == self._epoch

    def _next(
        self, key: str, step: int, epoch: int, text: str, after: Position, *, anew: bool
    ) -> RunEvent | None:
        goes_on = self._is_of(key, epoch)
        if self._told is None:
            # what was told elsewhere is the beginning of what is known here, unless it was taken back since
            goes_on = goes_on and not anew and len(text) >= self._length
        else:
            goes_on = goes_on and text.startswith(self._told)
        offset = self._length if goes_on else 0
        reset = not goes_on and self._length > 0
        self._key, self._told, self._length = key, text, len(text)
        if offset == len(text) and not reset:
            return None
        delta = TextDelta(step=step, offset=offset, text=text[offset:], reset=reset)
        return RunEvent(position=str(StreamPosition(after, epoch, len(text))), delta=delta)
