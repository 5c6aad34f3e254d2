"""A place in a run's history: ``<sequence>.<index>``, the record and the event inside it.

Positions are what clients resume streams from and what announced facts carry. In the middle of a text that a
model is writing, ``~<epoch>.<offset>`` behind the last event's place says how much of it was told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, order=True, slots=True)
class Position:
    """Orders as the journal does. ``Position(0, 0)`` is before every event."""

    sequence: int
    index: int

    def __str__(self) -> str:
        return f"{self.sequence}.{self.index}"


def parse_position(text: str) -> Position:
    """The place that ``text`` names; ValueError if it names none."""
    return Position(*_pair(text))


class StreamPosition(NamedTuple):
    """How far a stream was told: an event's place, and how much of the text that was being written then.

    ``epoch`` is that of the worker that had it written; 0 where none was told of.
    """

    event: Position
    epoch: int = 0
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.event}~{self.epoch}.{self.offset}" if self.epoch else str(self.event)


def parse_stream_position(text: str) -> StreamPosition:
    """How far ``text`` says that a stream was told; ValueError if it says nothing of the kind."""
    event, tilde, told = text.partition("~")
    return StreamPosition(parse_position(event), *(_pair(told) if tilde else ()))


def _pair(text: str) -> tuple[int, int]:
    one, dot, other = text.partition(".")
    if not dot or not (one.isascii() and one.isdigit() and other.isascii() and other.isdigit()):
        raise ValueError("not a position")
    return int(one), int(other)
