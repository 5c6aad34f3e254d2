"""RESUME: what a new owner must clear up before it goes on.

A worker that died may have left money reserved without a record of it, a call started without a
result, and results not yet settled. All of it follows from the journal, because keys are counted and
never drawn at random. The order is: settle and release, resolve the tools, append what became of the
open attempts, and only then the next step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from malha.api.cost.v1.cost_service_pb2 import Settlement
from malha.run.fold import RunState, StepState


@dataclass(frozen=True, slots=True)
class Resume:
    """What to clear up. All three may be empty: then there was no earlier worker, or it left nothing."""

    release: list[str]
    """Keys that may be reserved though nothing was started under them; most are not, which is no error."""
    settle_at_ceiling: list[StepState]
    """Model calls without a result: settle each at its reservation, provisionally; append
    StepAbandoned(SETTLED_AT_CEILING) with that cost; make the call again under a new key."""
    resolve: list[StepState]
    """Tool calls without a result: ask tools.Resolve(key). Result: append StepFinished with it. Tombstoned:
    release the key, append StepAbandoned(TOMBSTONED), run it under a new key. Unknown: a person decides."""
    settle: list[StepState]
    """Attempts with an end whose settlement may have been lost; settling again changes nothing."""


def resume(state: RunState, epoch: int, *, width: int = 1) -> Resume:
    """What the owner of claim ``epoch`` must clear up.

    Args:
        state: the fold up to and including one's own claim.
        epoch: the sequence of that claim.
        width: how many steps the earlier owner can have reserved at once (parallel tool calls).
    """
    raise NotImplementedError


def settlement(step: StepState) -> Settlement | None:
    """The settlement that an ended attempt calls for; None while it is open."""
    raise NotImplementedError


def settlements(steps: Iterable[StepState]) -> list[Settlement]:
    """``settlement`` of every ended one among ``steps``, in order."""
    return [found for found in map(settlement, steps) if found is not None]
