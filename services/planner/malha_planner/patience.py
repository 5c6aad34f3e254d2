"""A run outlives the restart or silence of a service it needs: it asks again until its own time is up."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from malha.errors import ErrorReason, MalhaError, Reason
from malha_planner.lease import Lease

T = TypeVar("T")

AWAY = frozenset({ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE, ErrorReason.ERROR_REASON_OVERLOADED})
# A callee that hangs, or the way to it: what one call is given is far less than what the run has left.
AWAY_OR_SILENT = AWAY | {ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED}
_FIRST, _LONGEST = 0.1, 2.0


async def patiently(
    lease: Lease,
    call: Callable[[], Awaitable[T]],
    *,
    passing: Collection[Reason] = AWAY_OR_SILENT,
) -> T:
    """The answer of a call that may be made again, while its callee is away, silent or overloaded.

    Args:
        passing: reasons that another try may cure.

    Raises:
        MalhaError: any other refusal; the last one when time is up.
        Interrupted: as `Lease.within`, in the midst of a call too: one that hangs delays no end.
    """
    pause = _FIRST
    while True:
        try:
            return await lease.within(call(), lease.remaining())
        except MalhaError as error:
            if error.reason not in passing or lease.remaining() < pause:
                raise
        await lease.pause(random.uniform(pause / 2, pause))  # noqa: S311 - jitter, no secret
        pause = min(pause * 2, _LONGEST)
