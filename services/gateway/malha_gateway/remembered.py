"""Answers remembered for a moment.

A busy gateway would ask the same thing hundreds of times a second. When a remembered answer is too
old, one caller asks again while the others still use it, so that its renewal is one question and not
a crowd's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from malha.clock import Clock
from malha.errors import MalhaError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Answer(Generic[V]):
    __slots__ = ("asking", "since", "value")

    def __init__(self, value: V, since: float) -> None:
        self.value = value
        self.since = since
        self.asking = False


class Remembered(Generic[K, V]):
    """A bounded memory of answers.

    Args:
        fresh: seconds an answer is used without a question.
        when_away: seconds an answer may still be used when asking fails; 0 where an old one could harm.
        size: answers kept; the least recently asked for goes first.
    """

    def __init__(self, clock: Clock, *, fresh: float, when_away: float = 0.0, size: int = 10_000) -> None:
        self._clock = clock
        self._fresh = fresh
        self._when_away = when_away
        self._size = size
        self._answers: OrderedDict[K, _Answer[V]] = OrderedDict()

    async def get(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        """The answer to ``key``, from memory or from ``ask``; raises what ``ask`` raises."""
        answers = self._answers
        held = answers.get(key)
        if held is None:
            return self._keep(answers, key, await ask())
        answers.move_to_end(key)
        age = self._clock.monotonic() - held.since
        # a renewal that hangs must not keep an answer in use: beyond twice its time everyone asks
        if age < self._fresh or (held.asking and age < 2 * self._fresh):
            return held.value
        held.asking = True
        try:
            return self._keep(answers, key, await ask())
        except MalhaError:
            if age < self._when_away:
                return held.value
            raise
        finally:
            held.asking = False

    def clear(self) -> None:
        """Ask anew for everything; what is being asked for now is of use to who asked alone."""
        self._answers = OrderedDict()

    def _keep(self, answers: OrderedDict[K, _Answer[V]], key: K, value: V) -> V:
        answers[key] = _Answer(value, self._clock.monotonic())
        answers.move_to_end(key)
        if len(answers) > self._size:
            answers.popitem(last=False)
        return value
