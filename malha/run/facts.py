"""What the follower makes of a record: whether it wakes a worker, and what it announces.

Pure. Facts are thin: ids, status, amounts and sequence, never a word of content.
"""

from __future__ import annotations

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from malha.api.event.v1.alert_pb2 import Alert
from malha.api.event.v1.event_pb2 import RunFact
from malha.api.gateway.v1.run_pb2 import RunStatus
from malha.api.run.v1.record_pb2 import (
    Decision,
    FinalStatus,
    JournalEvent,
    ParkReason,
    Record,
    Risk,
    StepKind,
    StepOutcome,
)
from malha.run.journal import Entry
from malha.run.position import Position
from malha.run.state import RunState, StepState

_WAITS_FOR = {
    ParkReason.PARK_REASON_OUTCOME_UNKNOWN: "OUTCOME_UNKNOWN",
    ParkReason.PARK_REASON_APPROVAL: "APPROVAL_REQUIRED",
}
_FROM_OUTSIDE = ("cancel_requested", "decided")
_KINDS = {StepKind.STEP_KIND_MODEL: "model", StepKind.STEP_KIND_TOOL: "tool"}


def wakes(record: Record, state_before: RunState | None) -> bool:
    """Whether ``record`` calls for a work item.

    Accepted always does. A cancellation or a decision does exactly if the run was parked: a run that a
    worker has is told by its doorbell, and a queued one still has its item. A replay does exactly if the
    run was dead.

    Args:
        record: the record just read.
        state_before: the fold of all before it, None if it is the first.
    """
    if state_before is None:
        return any(event.HasField("accepted") for event in record.events)
    if state_before.dead:
        return any(event.HasField("replayed") for event in record.events)
    return state_before.parked is not None and any(
        event.WhichOneof("event") in _FROM_OUTSIDE for event in record.events
    )


def facts(entry: Entry, state: RunState) -> list[tuple[str, RunFact]]:
    """(type, fact) for every event worth announcing, in order; types are ``run.accepted`` and so on.

    Args:
        entry: the record just read.
        state: the fold up to and including it (steps' ends take kind and name from their starts).
    """
    if state.broken:
        return _facts_of_broken(entry, state)
    found: list[tuple[str, RunFact]] = []
    for index, event in enumerate(entry.record.events):
        fact = RunFact(
            tenant=state.tenant, run_id=state.run_id, position=str(Position(entry.sequence, index))
        )
        event_type = _describe(event, fact, state)
        if event_type:
            found.append((event_type, fact))
    return found


def _facts_of_broken(entry: Entry, state: RunState) -> list[tuple[str, RunFact]]:
    """Of a journal that is broken: that the run is dead of it, and an operator's last word."""
    fact = RunFact(tenant=state.tenant, run_id=state.run_id, position=str(Position(entry.sequence, 0)))
    if any(event.HasField("dropped") for event in entry.record.events):
        fact.status = "cancelled"
        return [("run.dropped", fact)]
    if state.finished is None or entry.time != state.finished_at:
        return []
    fact.status, fact.error_reason = "dead", state.finished.error_reason
    fact.usage.CopyFrom(state.usage)
    fact.cost.CopyFrom(state.cost)
    return [("run.finished", fact)]


def erasure(entry: Entry) -> tuple[str, RunFact] | None:
    """The fact of an erasure, for a record that is one; it stands alone and has no state."""
    if not entry.record.events or not entry.record.events[0].HasField("erased"):
        return None
    record = entry.record
    position = str(Position(entry.sequence, 0))
    by = record.events[0].erased.by
    return "run.erased", RunFact(
        tenant=record.tenant, run_id=record.run_id, position=position, status="erased", by=by
    )


def alerted(entry: Entry) -> Alert | None:
    """The alert that a record carries; it stands alone and has no state."""
    if not entry.record.events or not entry.record.events[0].HasField("alerted"):
        return None
    return entry.record.events[0].alerted


def without_content(entry: Entry) -> Entry:
    """The same entry with sealed contents left out, so that a follower's states stay small."""
    thin = Record()
    thin.CopyFrom(entry.record)
    for event in thin.events:
        event.ClearField("content")
    return Entry(entry.sequence, entry.time, thin, entry.size)


def _describe(event: JournalEvent, fact: RunFact, state: RunState) -> str:
    """Fill ``fact`` in and answer its type; "" for what is not announced."""
    kind = event.WhichOneof("event")
    if kind == "accepted":
        fact.agent = event.accepted.agent
        fact.status = "queued"
    elif kind == "claimed":
        fact.status = "running"
    elif kind == "step_started":
        fact.status = "running"
        _describe_step(fact, state.attempt(event.step_started.key))
    elif kind == "step_finished":
        finished = event.step_finished
        fact.status = _spelled(StepOutcome, finished.outcome, "STEP_OUTCOME_")
        fact.error_reason = finished.error_reason
        fact.usage.CopyFrom(finished.usage)
        fact.cost.CopyFrom(finished.cost)
        _describe_step(fact, state.attempt(finished.key))
    elif kind == "step_abandoned":
        fact.status = "abandoned"
        if event.step_abandoned.HasField("usage"):
            fact.usage.CopyFrom(event.step_abandoned.usage)
        fact.cost.CopyFrom(event.step_abandoned.cost)
        _describe_step(fact, state.attempt(event.step_abandoned.key))
        return "run.step_finished"
    elif kind == "step_settled":
        fact.status = "settled"
        fact.cost.CopyFrom(event.step_settled.cost)
        _describe_step(fact, state.attempt(event.step_settled.key))
    elif kind == "proposed":
        proposed = event.proposed
        fact.step, fact.kind, fact.name = proposed.step, "tool", proposed.tool
        fact.risk = _spelled(Risk, proposed.risk, "RISK_")
        fact.hash = proposed.hash.hex()
        fact.status = "waiting" if proposed.approvals else "running"
        return "run.approval_requested" if proposed.approvals else "run.notified"
    elif kind == "decided":
        decided = event.decided
        if not state.heeded:
            return ""
        fact.step, fact.hash = decided.step, decided.hash.hex()
        fact.status = _spelled(Decision, decided.decision, "DECISION_")
    elif kind == "parked":
        fact.status = "waiting"
        fact.error_reason = _WAITS_FOR.get(event.parked.reason, "")
    elif kind == "cancel_requested" or kind == "archived":
        fact.status = _spelled(RunStatus, state.status, "RUN_STATUS_")
    elif kind == "finished":
        fact.status = _spelled(FinalStatus, event.finished.status, "FINAL_STATUS_")
        fact.error_reason = event.finished.error_reason
        fact.usage.CopyFrom(event.finished.usage)
        fact.cost.CopyFrom(event.finished.cost)
    elif kind == "replayed":
        fact.status = "queued"
    elif kind == "dropped":
        fact.status = "cancelled"
    else:
        return ""
    return f"run.{kind}"


def _describe_step(fact: RunFact, step: StepState | None) -> None:
    if step is not None:
        fact.step = step.step
        fact.kind = _KINDS.get(step.started.kind, "")
        fact.name = step.started.name


def _spelled(enum: EnumTypeWrapper, value: int, prefix: str) -> str:
    """The name of a value; its number where only a later version knows its name."""
    return enum.Name(value).removeprefix(prefix).lower() if value in enum.values() else str(value)
