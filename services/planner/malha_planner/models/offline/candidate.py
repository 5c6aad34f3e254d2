"""A value that could fill a slot, where it stands in a request, and how surely it does."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Candidate:
    """A value from the text, where it stands. A candidate without a span (start == end) uses up nothing."""

    value: Any
    score: float
    start: int = 0
    end: int = 0
    guessed: bool = False
    """Whether nothing in the schema speaks for it: it is merely what the tool's words leave unexplained."""
    in_series: bool = False
    """Whether it is one of several like it, so that the words beside it belong to all of them."""
    exact: bool = False
    """Whether it looks as the schema's pattern or examples say."""

    def overlaps(self, other: "Candidate") -> bool:
        return self.start < other.end and other.start < self.end
