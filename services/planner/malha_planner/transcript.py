"""What was asked, said and found in a run, in the clear and in order.

The journal keeps records; a strategy needs a conversation. A transcript is made from the records of
earlier owners and goes on with what this worker does, including what it has not written yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from malha.api.run.v1.chat_pb2 import ChatMessage, Citation, ToolCall
from malha.api.run.v1.record_pb2 import Content, StepFinished, StepOutcome, Verdict

MAX_CALLS = 16
"""Tool calls of one message that are carried out; a model that asks for more is told of the first ones."""


@dataclass(slots=True)
class Turn:
    """One call of the model, and what came of the tool calls it asked for.

    The call `index` of the message is step `step + 1 + index` of the run, always: so whoever resumes
    a run finds every branch under the number its first owner gave it.
    """

    step: int
    message: ChatMessage | None = None
    """What the model said; None until it answered."""
    verdict: Verdict = field(default_factory=Verdict)
    """What the guard said of its text."""
    citations: list[Citation] = field(default_factory=list)
    """Passages the model itself named."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """(reason, text) of its failed attempts."""
    results: dict[int, Content] = field(default_factory=dict)
    """Results of tool steps by step number, as the model is shown them."""

    def calls(self) -> Iterator[tuple[int, ToolCall]]:
        """(step number, call) of every tool call of the message."""
        if self.message is not None:
            yield from enumerate(self.message.tool_calls, self.step + 1)

    def pending(self) -> list[tuple[int, ToolCall]]:
        """The calls without a result."""
        return [(step, call) for step, call in self.calls() if step not in self.results]

    @property
    def next_step(self) -> int:
        """The number of the step after this turn."""
        return self.step + 1 + (len(self.message.tool_calls) if self.message is not None else 0)


class Transcript:
    """A run as a conversation."""

    def __init__(self, question: str) -> None:
        self.question = question
        self.turns: list[Turn] = []

    def asked(self, step: int) -> None:
        """The model is called as `step`; again for another attempt."""
        if not self.turns or self.turns[-1].step != step:
            self.turns.append(Turn(step))

    def heard(self, finished: StepFinished, content: Content) -> None:
        """A model or tool step came to an end."""
        turn = self.turns[-1]
        if finished.step != turn.step:
            turn.results[finished.step] = content
        elif finished.outcome == StepOutcome.STEP_OUTCOME_FAILED:
            turn.failures.append((finished.error_reason, content.error_text))
        else:
            turn.message = content.message
            turn.verdict = finished.verdict
            turn.citations = list(content.citations)

    def unanswered(self) -> None:
        """The model was asked and did not answer: a failed attempt."""
        self.turns[-1].failures.append(("MODEL_UNAVAILABLE", "the model did not answer"))

    def found(self) -> list[Citation]:
        """The passages that tools found, in order."""
        return [
            citation
            for turn in self.turns
            for step in sorted(turn.results)
            for citation in turn.results[step].citations
        ]
