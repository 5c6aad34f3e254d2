"""A run outlives the restart or silence of a service it needs: it asks again until its own time is up."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from malha.clock import Clock
from malha.errors import ErrorReason, MalhaError, Reason
from malha_planner.lease import Lease

T = TypeVar("T")

AWAY = frozenset({ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE, ErrorReason.ERROR_REASON_OVERLOADED})
# A callee that hangs, or the way to it: what one call is given is far less than what the run has left.
AWAY_OR_SILENT = AWAY | {ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED}
_FIRST, _LONGEST = 0.1, 2.0


async def patiently(
    lease: Lease,
    clock: Clock,
    call: Callable[[], Awaitable[T]],
    *,
    at_least: float = 0.0,
    passing: Collection[Reason] = AWAY_OR_SILENT,
) -> T:
    """The answer of a call that may be made again, while its callee is away, silent or overloaded.

    Args:
        at_least: seconds to keep asking even if the run's own time is over, for calls that close it.
        passing: reasons that another try may cure.

    Raises:
        MalhaError: any other refusal; the last one when time is up.
        Interrupted: as `Lease.pause`, between two attempts.
    """
    until = clock.monotonic() + max(lease.remaining(), at_least)
    pause = _FIRST
    while True:
        try:
            return await call()
        except MalhaError as error:
            if error.reason not in passing or clock.monotonic() + pause > until:
                raise
        wait = random.uniform(pause / 2, pause)  # noqa: S311 - jitter, no secret
        await (clock.sleep(wait) if at_least else lease.pause(wait))
        pause = min(pause * 2, _LONGEST)
