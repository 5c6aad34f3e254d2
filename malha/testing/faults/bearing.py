"""When the next fault may be injected, so that what fails is the mesh and not the measure.

A tool has its seconds for what it calls, and when they are over it failed: that is promised. So a fault
waits while some run in flight has met too many of its like since it last came further. How often a run
may lose its worker is no limit here: ``malha.testing.faults.service`` lifts it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass

from malha.api.gateway.v1.run_pb2 import RunEvent, StepStatus
from malha.testing.faults.load import Called
from malha.testing.faults.plan import Fault

AT_ONCE = 8
_BORNE = 3
"""How many faults that hurt the same victim a run bears without a result in between."""
_BORNE_OF = {"model": 1}
_LOOK = 0.02


@dataclass(eq=False)
class Turn:
    """``with turn``: a fault's turn; it is over when the block ends."""

    fault: Fault
    over: float = float("inf")
    """When it was, in seconds since 1970; not yet."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.over = time.time()


class Bearing:
    """What was injected so far, and what may be next."""

    def __init__(self, runs: Iterable[Called]) -> None:
        self._runs = runs
        self._turns: list[Turn] = []

    async def next_of(self, waiting: list[Fault], within: float) -> Turn | None:
        """Take out the first that may be injected, once one may; None when the seconds have passed."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            for fault in waiting:
                if self._bears(fault):
                    waiting.remove(fault)
                    self._turns.append(turn := Turn(fault))
                    return turn
            await asyncio.sleep(_LOOK)
        return None

    def _bears(self, fault: Fault) -> bool:
        now = [turn.fault for turn in self._turns if turn.over == float("inf")]
        if len(now) >= AT_ONCE or any(set(fault.points) & set(other.points) for other in now):
            return False
        since = min((_came_further(run.events) for run in self._runs if not run.ended), default=0.0)
        like = [turn for turn in self._turns if turn.over >= since and turn.fault.victim == fault.victim]
        return not fault.victim or len(like) < _BORNE_OF.get(fault.victim, _BORNE)


def _came_further(events: Iterable[RunEvent]) -> float:
    """When a run last had a result or was accepted, in seconds since 1970; 0 where nobody was told."""
    return max((event.time.ToMicroseconds() / 1e6 for event in events if _is_further(event)), default=0.0)


def _is_further(event: RunEvent) -> bool:
    if event.HasField("step_finished"):
        return event.step_finished.status != StepStatus.STEP_STATUS_ABANDONED
    return event.HasField("accepted") or event.HasField("waiting")
