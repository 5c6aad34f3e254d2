"""RESUME: what a new owner must clear up before it goes on.

A worker that died may have left money reserved without a record of it, a call started without a
result, and results not yet settled. All of it follows from the journal, because keys are counted and
never drawn at random. The order is: settle and release, resolve the tools, append what became of the
open attempts, and only then the next step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from malha.api.cost.v1.cost_service_pb2 import Reservation, Settlement, ToolUse
from malha.api.run.v1.record_pb2 import Abandonment, StepKind, StepOutcome, StepStarted
from malha.run.state import RunState, StepState


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
    earlier = [other for other in state.unreleased_epochs if other != epoch]
    open_steps = list(state.open_steps())
    return Resume(
        release=[key for other in earlier for key in _reservable(state, other, width)],
        settle_at_ceiling=[step for step in open_steps if step.started.kind == StepKind.STEP_KIND_MODEL],
        resolve=[step for step in open_steps if step.started.kind == StepKind.STEP_KIND_TOOL],
        settle=[step for step in state.steps if not step.open] if earlier else [],
    )


def settle(state: RunState, started: StepStarted, figures: Settlement) -> Settlement:
    """``figures``, which has nothing else yet, made the settlement of a step.

    A tool that costs nothing is called without a reservation; the ledger enters it with this.
    """
    figures.key = started.key
    if started.kind == StepKind.STEP_KIND_TOOL and not started.reserved_microusd:
        figures.free.CopyFrom(
            Reservation(
                key=started.key,
                run_id=state.run_id,
                agent=state.accepted.agent,
                session_id=state.accepted.session_id,
                tool=ToolUse(tool=started.name),
            )
        )
    return figures


def settlements(state: RunState, steps: Iterable[StepState]) -> list[Settlement]:
    """What each of the ended ``steps`` calls for, in order; a tool that does not exist calls for nothing."""
    return [
        _settlement(state, step)
        for step in steps
        if not step.open and (step.started.effect or step.started.kind == StepKind.STEP_KIND_MODEL)
    ]


def _settlement(state: RunState, step: StepState) -> Settlement:
    if step.finished is not None:
        if step.started.kind == StepKind.STEP_KIND_MODEL:
            return settle(state, step.started, Settlement(usage=step.finished.usage))
        return settle(state, step.started, Settlement(amount_microusd=step.finished.cost.amount_microusd))
    if step.abandoned is not None and step.abandoned.how == Abandonment.ABANDONMENT_TOMBSTONED:
        return settle(state, step.started, Settlement(release=True))
    if step.abandoned is not None and step.abandoned.HasField("usage"):
        return settle(state, step.started, Settlement(usage=step.abandoned.usage))
    # it may have run, and what is not known to be unspent counts as spent
    return settle(state, step.started, Settlement(at_ceiling=True))


def _reservable(state: RunState, epoch: int, width: int) -> Iterator[str]:
    """Keys that the owner of ``epoch`` could have reserved next: further legs of steps without a good
    result among the last ``width``, and first legs of the steps to come."""
    last = state.last_step
    good = {step.step for step in state.steps if _succeeded(step)}
    for step in range(max(1, last - width + 1), last + 1):
        if step not in good:
            yield state.next_key(step, epoch)
    for step in range(last + 1, last + 1 + width):
        yield state.next_key(step, epoch)


def _succeeded(step: StepState) -> bool:
    return step.finished is not None and step.finished.outcome == StepOutcome.STEP_OUTCOME_OK
