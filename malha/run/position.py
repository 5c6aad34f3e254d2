"""A place in a run's history: ``<sequence>.<index>``, the record and the event inside it.

Positions are what clients resume streams from and what announced facts carry.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True, slots=True)
class Position:
    """Orders as the journal does. ``Position(0, 0)`` is before every event."""

    sequence: int
    index: int

    def __str__(self) -> str:
        return f"{self.sequence}.{self.index}"


def parse_position(text: str) -> Position:
    """The place that ``text`` names; ValueError if it names none."""
    sequence, dot, index = text.partition(".")
    if not dot or not (sequence.isascii() and sequence.isdigit() and index.isascii() and index.isdigit()):
        raise ValueError("not a position")
    return Position(int(sequence), int(index))
