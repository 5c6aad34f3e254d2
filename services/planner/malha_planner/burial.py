"""A run that was delivered too often without progress is declared dead, by its own journal.

No second queue keeps the dead: an operator finds them in the runs table and may replay them.
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
from malha.errors import ErrorReason, MalhaError
from malha.run import Journal, RunState, Sealer, resume, settle, settlements
from malha.telemetry import metrics
from malha.telemetry.logs import log
from malha_planner.ports import Ledger
from malha_planner.timestamps import stamp
from malha_planner.transcript import MAX_CALLS


async def bury(state: RunState, *, journal: Journal, sealer: Sealer, ledger: Ledger, clock: Clock) -> None:
    """Pay for what is open at its ceiling, settle the rest, and append the end.

    Raises Fenced where someone else wrote first: the run is not dead after all.
    """
    paid: list[Cost] = []
    record = Record(tenant=state.tenant, run_id=state.run_id, written_at=stamp(clock.now()))
    for step in state.open_steps():
        abandoned = StepAbandoned(
            key=step.key,
            step=step.step,
            how=Abandonment.ABANDONMENT_UNKNOWN,
            cost=await _pay(ledger, settle(state, step.started, Settlement(at_ceiling=True))),
        )
        paid.append(abandoned.cost)
        record.events.append(JournalEvent(step_abandoned=abandoned))
    for step in state.steps:
        for owed in settlements(state, [step]) if step.cost is None else []:
            settled = StepSettled(key=step.key, step=step.step, cost=await _pay(ledger, owed))
            paid.append(settled.cost)
            record.events.append(JournalEvent(step_settled=settled))
    for key in resume(state, 0, width=MAX_CALLS).release:
        await _pay(ledger, Settlement(key=key, release=True))
    text = f"the run was taken up {state.fruitless_claims} times in a row without a result"
    finished = Finished(
        status=FinalStatus.FINAL_STATUS_DEAD,
        error_reason="TOO_MANY_DELIVERIES",
        usage=state.usage,
        cost=state.cost,
    )
    for cost in paid:
        finished.cost.amount_microusd += cost.amount_microusd
        finished.cost.reference_microusd += cost.reference_microusd
        finished.cost.reference_model = cost.reference_model or finished.cost.reference_model
    sealed = await sealer.seal(state.tenant, state.run_id, "finished", Content(error_text=text))
    record.events.append(JournalEvent(finished=finished, content=sealed))
    await journal.append(record, expected=state.last_sequence)
    metrics.PLANNER_RUNS.labels("DEAD", finished.error_reason).inc()
    log.error("run_dead", run=state.run_id, tenant=state.tenant, reason=finished.error_reason)


async def _pay(ledger: Ledger, settlement: Settlement) -> Cost:
    try:
        answer = await ledger.settle(SettleRequest(settle=[settlement]))
    except MalhaError as error:
        if error.reason != ErrorReason.ERROR_REASON_RESERVATION_NOT_FOUND:
            raise
        return Cost()
    return answer.settled[0].cost
