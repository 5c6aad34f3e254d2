"""A run as one row of the runs table: what a list shows, without a word of content."""

from __future__ import annotations

from datetime import datetime, timedelta

from malha.api.gateway.v1.run_pb2 import RunStatus
from malha.api.planner.v1.planner_service_pb2 import RunRow
from malha.run import Entry, RunState, goes_on, lane_of, wake_time
from malha.timestamps import stamp
from malha_planner.ports import Row


def row_of(state: RunState, last: Entry, *, accepted_sequence: int, idle: timedelta) -> Row:
    """The row after the record `last`; a runnable run that stands still for `idle` wants a hint."""
    row = RunRow(
        run_id=state.run_id,
        agent=state.accepted.agent,
        status=RunStatus.Name(state.status).removeprefix("RUN_STATUS_"),
        session_id=state.accepted.session_id,
        create_time=stamp(state.accepted_at),
        usage=state.usage,
        cost=state.cost,
        trace_id=_trace_id(state.accepted.traceparent),
        key_id=state.accepted.principal.key_id,
    )
    if state.finished is not None and state.finished_at is not None:
        row.finish_time.CopyFrom(stamp(state.finished_at))
        row.error_reason = state.finished.error_reason
        row.usage.CopyFrom(state.finished.usage)
        row.cost.CopyFrom(state.finished.cost)
    return Row(
        tenant=state.tenant,
        last_sequence=last.sequence,
        accepted_sequence=accepted_sequence,
        updated=last.time,
        lane=lane_of(state.accepted),
        row=row,
        due=_due(state, last, idle),
    )


def _due(state: RunState, last: Entry, idle: timedelta) -> datetime | None:
    if state.final:
        return None
    return last.time + idle if goes_on(state) else wake_time(state)


def _trace_id(traceparent: str) -> str:
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 else ""
