"""The text that a model is writing, put together from what is told of it.

Parts may be lost, come twice, or be those of a worker that was fenced. Now and then all of the text is told,
so whoever missed something is whole again.
"""

from __future__ import annotations

from malha.api.run.v1.delta_pb2 import Delta

DELTA = "delta"
"""The kind that a delta's content is sealed as."""


class LiveText:
    """The newest attempt's text.

    ``key``, ``step`` and ``epoch`` are the attempt's, empty before any. ``anew`` says that something may have
    been told of the step that is void.
    """

    def __init__(self) -> None:
        self.key = ""
        self.step = 0
        self.epoch = 0
        self.text = ""
        self.anew = False

    def take(self, delta: Delta, text: str) -> bool:
        """Put a delta, whose content is ``text``, to the rest. False where it changed nothing."""
        if delta.epoch < self.epoch:
            return False
        if delta.key != self.key:
            if delta.offset:
                return False  # its beginning was lost; the whole will be told
            self.key, self.step, self.epoch = delta.key, delta.step, delta.epoch
            self.text, self.anew = text, delta.reset
            return True
        if delta.offset > len(self.text):
            return False
        if not delta.reset and delta.offset + len(text) <= len(self.text):
            return False  # known already
        self.anew = self.anew or delta.reset
        before, self.text = self.text, self.text[: delta.offset] + text
        return self.text != before
