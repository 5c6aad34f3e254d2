"""Many runs on a budget for few: money is not lost in runs that cannot end."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from malha.testing.ledgers import Book, SqliteBook
from malha.testing.money import Till, call, limit, used

_RUNS = 120
_MOST_CALLS = 5
_COST = 8


class Run:
    """A run of several calls at ``_COST``, each reserved at a ceiling."""

    def __init__(self, till: Till, name: str, calls: int, ceiling: int) -> None:
        self.name = name
        self.done = 0
        self.state = "asking"
        self._till = till
        self._calls = calls
        self._ceiling = ceiling

    async def move(self) -> None:
        """Ask for the next call or, if one is under way, settle it by asking for the one after it."""
        if self.state == "calling" and self.done + 1 == self._calls:
            await self._till.settle(used(self._key(), _COST))
            self.done, self.state = self.done + 1, "finished"
            return
        settle = []
        if self.state == "calling":
            settle = [used(self._key(), _COST)]
            self.done += 1
        further = _MOST_CALLS - self.done - 1
        asked = call(self._key(), self._ceiling, run=self.name, further=further)
        answer = await self._till.reserve(asked, settle=settle)
        if answer.reserved:
            self.state = "calling"
        else:
            self.state = "asking" if answer.denied.may_free else "refused"

    def _key(self) -> str:
        return f"{self.name}/{self.done}"


@pytest.fixture
def books(tmp_path: Path) -> Book:
    """Who goes first is decided in memory, so one database will do for it."""
    return SqliteBook(tmp_path)


@pytest.mark.parametrize("calls", [1, 2, 3, 5])
@pytest.mark.parametrize("ceiling", [8, 10, 16, 32])
async def test_of_many_runs_at_once_as_many_end_as_could_one_after_another(
    till: Till, calls: int, ceiling: int
) -> None:
    budget = 10 * calls * _COST
    await till.judge.set_budget(till.principal, limit(budget))
    shuffled = random.Random(calls * 100 + ceiling)  # noqa: S311  # a seed, so that a failure comes again
    runs = [Run(till, f"r{number}", calls, ceiling) for number in range(_RUNS)]
    for _ in range(400):
        going = [run for run in runs if run.state in ("asking", "calling")]
        if not going:
            break
        shuffled.shuffle(going)
        for run in going:
            await run.move()
            spent, reserved = await till.standing()
            assert spent + reserved <= budget
    ended = sum(run.state == "finished" for run in runs)
    assert all(run.state in ("finished", "refused") for run in runs), "somebody waits for nothing"
    # the last call of the last run needs its whole ceiling, whatever it then costs
    assert ended == ((budget - ceiling) // _COST + 1) // calls
