"""Whether an amount stands out from those before it: the modified z-score.

    0.6745 * (value - median) / MAD

where MAD is the median of the distances from the median, and 0.6745 makes it a standard deviation for
normal amounts (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993; they call 3.5 unusual). A
median is moved by half of its amounts, a mean by one: an outlier in the past hides none today.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

_NORMAL = 0.6745
_STEADY = 0.1
"""Of the median, or of the least amount that counts: distances below this share are noise, also where all
amounts before were the same."""


class Rule(NamedTuple):
    """What counts as unusual."""

    score: float
    least: int
    """Smaller amounts alarm nobody."""
    history: int
    """With fewer amounts before, nothing is known to be usual."""


class Usual(NamedTuple):
    """What amounts before were like."""

    amounts: int
    median: float
    spread: float
    """MAD."""


class Unusual(NamedTuple):
    """How an amount stands out."""

    median: int
    score: float


def usual(before: Sequence[float]) -> Usual:
    """What these amounts were like; of none, nothing."""
    if not before:
        return Usual(0, 0, 0)
    middle = median(before)
    return Usual(len(before), middle, median(abs(amount - middle) for amount in before))


def robust_score(value: float, before: Usual, *, floor: float) -> float:
    """How many robust standard deviations ``value`` lies above the median; negative below it.

    Args:
        floor: the least that counts as one; above zero.
    """
    return _NORMAL * (value - before.median) / max(before.spread, floor)


def unusual(value: int, before: Usual, rule: Rule) -> Unusual | None:
    """How ``value`` stands out above what is usual, if it does."""
    if value < rule.least or before.amounts < rule.history:
        return None
    score = robust_score(value, before, floor=_STEADY * max(abs(before.median), rule.least))
    return Unusual(round(before.median), round(score, 1)) if score >= rule.score else None
