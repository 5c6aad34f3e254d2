"""How a run ends: settle everything, then one record with the answer and the final state.

What was done but not yet written goes into that record too, so that the end is one append.
"""

from __future__ import annotations

from malha.api.run.v1.record_pb2 import (
    Answered,
    Content,
    FinalStatus,
    Finished,
    JournalEvent,
)
from malha.errors import MalhaError
from malha.run import sum_up
from malha_planner.claimed import ClaimedRun
from malha_planner.interrupting import interrupt
from malha_planner.lease import CancelSeen
from malha_planner.react import Answer


async def succeed(run: ClaimedRun, answer: Answer) -> None:
    """End with an answer."""
    answered = Answered(verdict=answer.verdict, model=run.model.name, is_llm=run.model.is_llm)
    said = JournalEvent(answered=answered), Content(text=answer.text, citations=answer.citations)
    try:
        await _close(run, Finished(status=FinalStatus.FINAL_STATUS_SUCCEEDED), None, said)
    except CancelSeen:
        await cancel(run)


async def fail(run: ClaimedRun, error: MalhaError) -> None:
    """End with the cause why there is no answer."""
    try:
        await _close(run, _failed(error), Content(error_text=error.message))
    except CancelSeen:
        await cancel(run)


async def cancel(run: ClaimedRun) -> None:
    """End because someone asked for it; the end says who and why."""
    await _close(run, *await run.lease.cancelled())


async def _close(
    run: ClaimedRun,
    finished: Finished,
    told: Content | None,
    said: tuple[JournalEvent, Content] | None = None,
) -> None:
    lease = run.lease
    lease.close()
    lease.notes.forget_beginnings()
    await interrupt(run)
    try:
        await run.purse.settle()
    except MalhaError:
        # the run goes on with whoever takes it next: what is known of its calls is to be known there, too
        lease.notes.forget_guesses()
        await lease.write()
        raise
    if said is not None:
        lease.notes.add(*said)
    sum_up(finished, lease.state, lease.notes.events)
    lease.notes.add(JournalEvent(finished=finished), told)
    await run.boundaries.reach("before_final")
    await lease.write()


def _failed(error: MalhaError) -> Finished:
    return Finished(
        status=FinalStatus.FINAL_STATUS_FAILED,
        error_reason=error.reason_name,
        error_metadata=error.metadata,
    )
