"""What a new owner clears up before it goes on: an earlier worker's money, open calls and lost results."""

from __future__ import annotations

from malha.api.cost.v1.cost_service_pb2 import Settlement
from malha.api.run.v1.record_pb2 import Abandonment, Content, StepKind
from malha.run import RunState, Sealer, StepState, resume, settlements
from malha_planner.claimed import ClaimedRun
from malha_planner.lease import CancelSeen
from malha_planner.parking import park_for_outcomes
from malha_planner.tool_steps import observe, resolved
from malha_planner.transcript import MAX_CALLS, Transcript


async def recall(state: RunState, sealer: Sealer) -> Transcript:
    """The conversation that a run's records tell."""

    async def opened(kind: str, step: StepState) -> Content:
        if step.result is None:
            return Content()
        return await sealer.open(state.tenant, state.run_id, kind, step.result)

    question = await sealer.open(state.tenant, state.run_id, "accepted", state.input)
    transcript = Transcript(question.text)
    for step in state.steps:
        if step.started.kind == StepKind.STEP_KIND_MODEL:
            transcript.asked(step.step)
        if step.finished is not None:
            transcript.heard(step.finished, await opened("step_finished", step))
        elif step.abandoned is not None and step.abandoned.how == Abandonment.ABANDONMENT_NO_ANSWER:
            transcript.unanswered()
    return transcript


async def clear_up(run: ClaimedRun) -> None:
    """Settle, release and resolve what earlier owners left; what became of it is noted.

    A model call without a result is paid for at its ceiling and made again under a new key. A tool
    call without one is never simply repeated: the tools service knows whether it ran.

    Raises:
        CancelSeen: the run is to end, and its end does the rest: quickly, whatever hangs.
    """
    state = run.lease.state
    left = resume(state, run.lease.epoch, width=MAX_CALLS)
    for step in left.settle_at_ceiling:
        run.abandon(step.started, Abandonment.ABANDONMENT_SETTLED_AT_CEILING)
    run.purse.inherit(
        [
            *(Settlement(key=step.key, at_ceiling=True) for step in left.settle_at_ceiling),
            *settlements(state, left.settle),
            *(Settlement(key=key, release=True) for key in left.release),
        ]
    )
    if state.cancel_requested is not None:
        raise CancelSeen
    await run.purse.settle_left()
    if left.resolve:
        unknown = await observe(
            run, [(step.started, await resolved(run, step.started)) for step in left.resolve]
        )
        await park_for_outcomes(run, unknown)
