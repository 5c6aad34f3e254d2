"""Texts of a run, put together from the parts that are told while a model writes them."""

from __future__ import annotations

from malha.api.gateway.v1.run_pb2 import RunEvent


class RunText:
    """The texts of a run's model steps. ``step`` is the one told of last; 0 before any."""

    def __init__(self) -> None:
        self.step = 0
        self._texts: dict[int, str] = {}

    @property
    def text(self) -> str:
        """The text of that step, as far as it was told."""
        return self.of(self.step)

    def of(self, step: int) -> str:
        """A step's text, as far as it was told."""
        return self._texts.get(step, "")

    def take(self, event: RunEvent) -> bool:
        """Put an event of the run to it; whether it was a part of a text."""
        if not event.HasField("delta"):
            return False
        delta = event.delta
        self.step = delta.step
        self._texts[delta.step] = self.of(delta.step)[: delta.offset] + delta.text
        return True
