"""Records of a run in a line each, as a correct writer would leave them."""

from __future__ import annotations

from typing import Any

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.common.v1.usage_pb2 import Cost, Usage
from malha.api.run.v1.record_pb2 import (
    Abandonment,
    Accepted,
    CancelRequested,
    Claimed,
    Decided,
    Decision,
    Dropped,
    Effect,
    FinalStatus,
    Finished,
    HandedOver,
    JournalEvent,
    Parked,
    ParkReason,
    Proposed,
    Record,
    Replayed,
    Risk,
    RunLimits,
    StepAbandoned,
    StepFinished,
    StepKind,
    StepOutcome,
    StepStarted,
)
from malha.run.keys import parse_step_key, run_id_for


class RecordsOf:
    """Writes records for one run, by default a new one of the tenant "acme"."""

    def __init__(self, tenant: str = "acme", run_id: str | None = None) -> None:
        self.tenant = tenant
        self.run_id = run_id or run_id_for(tenant, None)

    def record(self, *events: JournalEvent, epoch: int = 0) -> Record:
        return Record(tenant=self.tenant, run_id=self.run_id, epoch=epoch, events=events)

    def accepted(self, *, agent: str = "helper", request_hash: bytes = b"request") -> Record:
        accepted = Accepted(
            principal=Principal(tenant=self.tenant, subject="ana", scopes=["runs"]),
            agent=agent,
            request_hash=request_hash,
            work_class="interactive",
            limits=RunLimits(max_iterations=5, max_cost_microusd=500_000, max_output_tokens=1024),
        )
        return self.record(JournalEvent(accepted=accepted))

    def claimed(self, *, item: int = 1, delivery: int = 1, worker: str = "w1") -> Record:
        return self.record(JournalEvent(claimed=Claimed(worker=worker, item=item, delivery=delivery)))

    def handed_over(self) -> Record:
        return self.record(JournalEvent(handed_over=HandedOver()))

    def cancel(self, by: str = "ana") -> Record:
        return self.record(JournalEvent(cancel_requested=CancelRequested(by=by)))

    def replayed(self, by: str = "otto", reason: str = "") -> Record:
        return self.record(JournalEvent(replayed=Replayed(by=by, reason=reason)))

    def dropped(self, by: str = "otto", reason: str = "") -> Record:
        return self.record(JournalEvent(dropped=Dropped(by=by, reason=reason)))

    def parked(self, epoch: int, key: str = "") -> Record:
        parked = Parked(reason=ParkReason.PARK_REASON_OUTCOME_UNKNOWN, key=key)
        return self.record(JournalEvent(parked=parked), epoch=epoch)

    def proposed(
        self, step: int, *, approvals: int = 1, hash_: bytes = b"h" * 32, **more: Any
    ) -> JournalEvent:
        """People are told of a call, or asked."""
        risk = (Risk.RISK_MEDIUM, Risk.RISK_HIGH, Risk.RISK_CRITICAL)[approvals]
        given = {"step": step, "tool": "stop", "tool_version": "1", "risk": risk, "hash": hash_, **more}
        return JournalEvent(proposed=Proposed(approvals=approvals, **given))

    def decided(
        self, step: int, decision: Decision, by: str = "bea", *, hash_: bytes = b"h" * 32, key: str = ""
    ) -> Record:
        """Somebody decided."""
        return self.record(
            JournalEvent(decided=Decided(decision=decision, hash=hash_, step=step, by=by, key=key))
        )


def started(key: str, kind: StepKind = StepKind.STEP_KIND_MODEL, name: str = "model-1") -> JournalEvent:
    """The start of the attempt ``key``."""
    effect = Effect.EFFECT_READ if kind == StepKind.STEP_KIND_TOOL else Effect.EFFECT_UNSPECIFIED
    return JournalEvent(
        step_started=StepStarted(key=key, step=parse_step_key(key).step, kind=kind, name=name, effect=effect)
    )


def ended(
    key: str,
    outcome: StepOutcome = StepOutcome.STEP_OUTCOME_OK,
    *,
    usage: Usage | None = None,
    microusd: int = 0,
) -> JournalEvent:
    """Its result."""
    return JournalEvent(
        step_finished=StepFinished(
            key=key,
            step=parse_step_key(key).step,
            outcome=outcome,
            usage=usage,
            cost=Cost(amount_microusd=microusd),
        )
    )


def abandoned(key: str, how: Abandonment, *, microusd: int = 0) -> JournalEvent:
    """Its end without a result."""
    return JournalEvent(
        step_abandoned=StepAbandoned(
            key=key, step=parse_step_key(key).step, how=how, cost=Cost(amount_microusd=microusd)
        )
    )


def finished(status: FinalStatus = FinalStatus.FINAL_STATUS_SUCCEEDED, reason: str = "") -> JournalEvent:
    """The end of the run."""
    return JournalEvent(finished=Finished(status=status, error_reason=reason))
