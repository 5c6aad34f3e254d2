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


class Unusual(NamedTuple):
    """How an amount stands out."""

    median: int
    score: float


def robust_score(value: float, before: Sequence[float], *, floor: float) -> float:
    """How many robust standard deviations ``value`` lies above the median of ``before``; negative below it.

    Args:
        before: not empty.
        floor: the least that counts as one; above zero.
    """
    middle = median(before)
    spread = median(abs(amount - middle) for amount in before)
    return _NORMAL * (value - middle) / max(spread, floor)


def unusual(value: int, before: Sequence[int], rule: Rule) -> Unusual | None:
    """How ``value`` stands out above ``before``, if it does."""
    if value < rule.least or len(before) < rule.history:
        return None
    middle = median(before)
    score = robust_score(value, before, floor=_STEADY * max(abs(middle), rule.least))
    return Unusual(round(middle), round(score, 1)) if score >= rule.score else None
