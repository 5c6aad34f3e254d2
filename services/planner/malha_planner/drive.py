"""One claimed run, driven to its end: decide, act, and decide again.

The order of the writes is the whole point: money is reserved before the intention is stored, the
intention before the act, and the result after the guard has seen it. Where the wait between them is
short, a result shares the record of the next intention.
"""

from __future__ import annotations

from malha.errors import ErrorReason, MalhaError
from malha_planner import ending
from malha_planner.claimed import ClaimedRun
from malha_planner.lease import CancelSeen, HandedOver, Interrupted
from malha_planner.model_step import call_model
from malha_planner.parking import ParkedRun
from malha_planner.react import Answer, CallModel, CallTools, Fail, decide
from malha_planner.resuming import clear_up
from malha_planner.tool_steps import call_tools


async def drive(run: ClaimedRun) -> None:
    """Return once the run's final record, or Parked, is stored.

    Raises:
        HandedOver: this process ends, and the run goes on elsewhere.
        Lost: another worker has the run now, or nobody can tell; nothing more may be sent for it.
    """
    try:
        try:
            await clear_up(run)
            if run.refusal is not None:
                raise run.refusal
            await _loop(run)
        except Interrupted:
            await run.lease.catch_up()
    except ParkedRun:
        return
    except CancelSeen:
        await ending.cancel(run)
    except MalhaError as error:
        await ending.fail(run, error)


async def _loop(run: ClaimedRun) -> None:
    limits = run.lease.state.accepted.limits
    while True:
        if run.lease.remaining() <= 0:
            raise MalhaError(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, "the run's time is used up")
        if run.leaving.is_set():
            await run.lease.write()
            raise HandedOver
        decision = decide(run.transcript, limits)
        match decision:
            case CallModel():
                await call_model(run, decision)
            case CallTools():
                await call_tools(run, decision.calls)
                await run.boundaries.reach("after_tool_result")
            case Answer():
                return await ending.succeed(run, decision)
            case Fail():
                raise MalhaError(decision.reason, decision.text, metadata=decision.metadata)
