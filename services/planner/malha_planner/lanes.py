"""Whose turn it is: lanes (work class, tenant) with work waiting are asked one after the other.

A tenant with ten thousand runs waiting gets its turn as often as one with a single run, and no more.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple


class Lane(NamedTuple):
    """A queue of its own: one class of work of one tenant."""

    work_class: str
    tenant: str


class Lanes:
    """The lanes that may have work, in the order of their turns."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Lane, None] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, lane: Lane) -> None:
        """The lane may have work; at the end of the line if it was not in it."""
        self._waiting.setdefault(lane)

    def next(self) -> Lane:
        """The lane whose turn it is; it goes to the end of the line. KeyError where none waits."""
        lane, _ = self._waiting.popitem(last=False)
        self._waiting[lane] = None
        return lane

    def empty(self, lane: Lane) -> None:
        """The lane was asked and had nothing."""
        self._waiting.pop(lane, None)
