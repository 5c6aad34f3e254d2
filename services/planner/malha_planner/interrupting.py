"""What becomes of calls under way when the run ends above them: by a cancellation, or because its time is up.

A model that was asked may bill what it did, so its ceiling is owed, or what was counted where its answer was
being heard. A tool's service knows more: a call that never reached it, or only read, is tombstoned and given
back; one that came to its end meanwhile is kept with its price. There is little time to ask, for a
cancellation is to be quick. What is not known by then counts as spent, and of an effect that must not happen
twice the journal says that nobody knows.
"""

from __future__ import annotations

import asyncio

from malha.api.run.v1.record_pb2 import Abandonment, Effect, StepKind
from malha.errors import MalhaError
from malha.run import StepState
from malha_planner.claimed import ClaimedRun
from malha_planner.tool_steps import Outcome, observe, resolved

_SECONDS = 0.4
"""For asking the tools service what became of the calls, and the guard what may be kept of them."""


async def interrupt(run: ClaimedRun) -> None:
    """Note an end for every open step whose end is not noted yet."""
    ended = {event.step_finished.key or event.step_abandoned.key for event in run.lease.notes.events}
    steps = [step for step in run.lease.state.open_steps() if step.key not in ended]
    tools = [step for step in steps if step.started.kind == StepKind.STEP_KIND_TOOL]
    known: set[str] = set()
    try:
        async with asyncio.timeout(_SECONDS):
            outcomes = await asyncio.gather(*(_outcome(run, step) for step in tools))
            told = [(s.started, o) for s, o in zip(tools, outcomes, strict=True) if o is not None]
            await observe(run, told)
            known = {started.key for started, _ in told}
    except (TimeoutError, MalhaError):
        pass  # the guard is away, and nothing may be kept that it has not seen
    for step in steps:
        if step.key not in known:
            once = step.started.effect == Effect.EFFECT_ONCE
            how = Abandonment.ABANDONMENT_UNKNOWN if once else Abandonment.ABANDONMENT_INTERRUPTED
            run.give_up(step.started, how)


async def _outcome(run: ClaimedRun, step: StepState) -> Outcome | None:
    """What is known of a tool call by now."""
    try:
        async with asyncio.timeout(_SECONDS / 2):
            outcome = await resolved(run, step.started)
    except (TimeoutError, MalhaError):
        return None
    return None if outcome == Abandonment.ABANDONMENT_UNKNOWN else outcome
