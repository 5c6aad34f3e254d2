"""What was found wrong, in the words of the report's last line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self


class Wrong(Enum):
    """The ways to break a promise."""

    LOST = "lost"
    """An acknowledged run did not end as it would have without the fault."""
    DOUBLED = "doubled"
    """Something that happens once happened twice: an effect, a journaled result, a record's writer."""
    LEDGER = "ledger off"
    EVENTS = "events off"
    STREAMS = "streams off"
    STUCK = "stuck"


@dataclass
class Verdict:
    """Counts, and a sentence for each."""

    faults: Counter[str] = field(default_factory=Counter)
    """Injected ones, by name."""
    missed: Counter[str] = field(default_factory=Counter)
    """Planned ones that did not come to pass."""
    runs: int = 0
    wrong: Counter[Wrong] = field(default_factory=Counter)
    sentences: list[str] = field(default_factory=list)

    def find(self, wrong: Wrong, run_id: str, sentence: str) -> None:
        """Something is wrong with a run."""
        self.wrong[wrong] += 1
        self.sentences.append(f"{wrong.value}: run {run_id[:8]}: {sentence}")

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(
            self.faults + other.faults,
            self.missed + other.missed,
            self.runs + other.runs,
            self.wrong + other.wrong,
            self.sentences + other.sentences,
        )

    def as_json(self) -> dict[str, Any]:
        """Every count, for a report."""
        return {
            "faults": dict(sorted(self.faults.items())),
            "missed": dict(sorted(self.missed.items())),
            "runs": self.runs,
            "wrong": {one.value: self.wrong[one] for one in Wrong},
            "sentences": self.sentences,
        }

    @classmethod
    def from_json(cls, counts: Mapping[str, Any]) -> Self:
        """What `as_json` made."""
        wrong = Counter({Wrong(name): count for name, count in counts["wrong"].items()})
        return cls(
            Counter(counts["faults"]), Counter(counts["missed"]), counts["runs"], wrong, counts["sentences"]
        )

    @property
    def good(self) -> bool:
        """Nothing is wrong."""
        return not self.wrong.total()

    def __str__(self) -> str:
        wrong = ", ".join(f"{one.value} {self.wrong[one]}" for one in Wrong)
        return f"faults injected {self.faults.total()}, runs {self.runs}, {wrong}"
