"""A run that was delivered too often without progress is declared dead, by its own journal.

No second queue keeps the dead: an operator finds them in the runs table and may replay them. A run that was
cancelled has nothing to be replayed: it ends as whoever cancelled it was promised.
"""

from __future__ import annotations

from malha.api.common.v1.usage_pb2 import Cost
from malha.api.cost.v1.cost_service_pb2 import Settlement, SettleRequest
from malha.api.run.v1.record_pb2 import (
    Abandonment,
    Content,
    FinalStatus,
    Finished,
    JournalEvent,
    Record,
    StepAbandoned,
    StepSettled,
)
from malha.clock import Clock
from malha.errors import MalhaError
from malha.run import Journal, RunState, Sealer, cancelled_as_asked, resume, settle, settlements, sum_up
from malha.telemetry import metrics
from malha.telemetry.logs import log
from malha.timestamps import stamp
from malha_planner.ports import Ledger
from malha_planner.purse import UNKNOWN
from malha_planner.transcript import MAX_CALLS


async def bury(state: RunState, *, journal: Journal, sealer: Sealer, ledger: Ledger, clock: Clock) -> None:
    """Pay for what is open at its ceiling, settle the rest, and append the end.

    Raises Fenced where someone else wrote first: the run is not dead after all.
    """
    finished, told = await _end(state, sealer)
    record = Record(tenant=state.tenant, run_id=state.run_id, written_at=stamp(clock.now()))
    for step in state.open_steps():
        cost = await _pay(ledger, settle(state, step.started, Settlement(at_ceiling=True)))
        abandoned = StepAbandoned(
            key=step.key, step=step.step, how=Abandonment.ABANDONMENT_UNKNOWN, cost=cost
        )
        record.events.append(JournalEvent(step_abandoned=abandoned))
    for step in state.steps:
        for owed in settlements(state, [step]) if step.cost is None else []:
            cost = await _pay(ledger, owed)
            if cost is not None:
                settled = StepSettled(key=step.key, step=step.step, cost=cost)
                record.events.append(JournalEvent(step_settled=settled))
    for key in resume(state, 0, width=MAX_CALLS).release:
        await _pay(ledger, Settlement(key=key, release=True))
    sum_up(finished, state, record.events)
    sealed = await sealer.seal(state.tenant, state.run_id, "finished", told)
    record.events.append(JournalEvent(finished=finished, content=sealed))
    await journal.append(record, expected=state.last_sequence)
    status = FinalStatus.Name(finished.status).removeprefix("FINAL_STATUS_")
    metrics.PLANNER_RUNS.labels(status, finished.error_reason).inc()
    log.error(
        "run_given_up",
        run=state.run_id,
        tenant=state.tenant,
        status=status,
        reason=finished.error_reason,
        claims=state.fruitless_claims,
    )


async def _end(state: RunState, sealer: Sealer) -> tuple[Finished, Content]:
    if state.cancel_requested is not None:
        return await cancelled_as_asked(state, sealer)
    text = f"the run was taken up {state.fruitless_claims} times in a row without a result"
    finished = Finished(status=FinalStatus.FINAL_STATUS_DEAD, error_reason="TOO_MANY_DELIVERIES")
    return finished, Content(error_text=text)


async def _pay(ledger: Ledger, settlement: Settlement) -> Cost | None:
    """What the ledger holds then; None where it knows nothing of it, or something else."""
    try:
        answer = await ledger.settle(SettleRequest(settle=[settlement]))
    except MalhaError as error:
        if error.reason not in UNKNOWN:
            raise
        return None
    return answer.settled[0].cost
