"""A run outlives the restart of a service it needs: it asks again until its own time is up."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from malha.clock import Clock
from malha.errors import ErrorReason, MalhaError
from malha_planner.lease import Lease

T = TypeVar("T")

_PASSING = {
    ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE,
    ErrorReason.ERROR_REASON_OVERLOADED,
}
_FIRST, _LONGEST = 0.1, 2.0


async def patiently(
    lease: Lease, clock: Clock, call: Callable[[], Awaitable[T]], *, at_least: float = 0.0
) -> T:
    """The answer of a call that may be made again, while its callee is away or overloaded.

    Args:
        at_least: seconds to keep asking even if the run's own time is over, for calls that close it.

    Raises:
        MalhaError: any other refusal; the last one when time is up.
        Interrupted: as `Lease.within`, between two attempts.
    """
    until = clock.monotonic() + max(lease.remaining(), at_least)
    pause = _FIRST
    while True:
        try:
            return await call()
        except MalhaError as error:
            if error.reason not in _PASSING or clock.monotonic() + pause > until:
                raise
        wait = clock.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - jitter, no secret
        if at_least:
            await wait
        else:
            await lease.within(wait, pause + 1)
        pause = min(pause * 2, _LONGEST)
