"""Any journal that correct writers can leave, as a hypothesis strategy."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from malha.api.common.v1.usage_pb2 import Usage
from malha.api.run.v1.record_pb2 import (
    Abandonment,
    Decision,
    FinalStatus,
    JournalEvent,
    Parked,
    ParkReason,
    Record,
    StepKind,
    StepOutcome,
)
from malha.run import Entry, step_key
from malha.testing.records import RecordsOf, abandoned, ended, finished, started

START = datetime(2026, 11, 20, tzinfo=UTC)
_OUTCOMES = [StepOutcome.STEP_OUTCOME_OK, StepOutcome.STEP_OUTCOME_FAILED, StepOutcome.STEP_OUTCOME_BLOCKED]
_ABANDONMENTS = [
    Abandonment.ABANDONMENT_SETTLED_AT_CEILING,
    Abandonment.ABANDONMENT_TOMBSTONED,
    Abandonment.ABANDONMENT_UNKNOWN,
    Abandonment.ABANDONMENT_INTERRUPTED,
]
_ENDS = [
    FinalStatus.FINAL_STATUS_SUCCEEDED,
    FinalStatus.FINAL_STATUS_FAILED,
    FinalStatus.FINAL_STATUS_CANCELLED,
    FinalStatus.FINAL_STATUS_DEAD,
]
_DECISIONS = [Decision.DECISION_APPROVE, Decision.DECISION_REJECT, Decision.DECISION_END_RUN]
_amounts = st.integers(0, 10**9)


def stored(records: list[Record]) -> list[Entry]:
    """The records as a stream shared with other runs would store them: sequences with gaps."""
    return [
        Entry(3 + 7 * index, START + timedelta(seconds=index), record, record.ByteSize())
        for index, record in enumerate(records)
    ]


def _asked(
    draw: st.DrawFn, run: RecordsOf, step: int, epoch: int, events: list[JournalEvent]
) -> list[Record]:
    """The run proposes calls, parks, and hears decisions; whoever claims it next goes on."""
    wanted = draw(st.lists(st.integers(0, 2), min_size=1, max_size=3))
    expires = START + timedelta(seconds=draw(st.integers(0, 20)))
    for place, approvals in enumerate(wanted, step + 1):
        event = run.proposed(place, approvals=approvals)
        event.proposed.rejection_ends_run = draw(st.booleans())
        event.proposed.expire_time.FromDatetime(expires)
        events.append(event)
    parked = Parked(reason=ParkReason.PARK_REASON_APPROVAL)
    parked.wake_at.FromDatetime(expires)
    records = [run.record(*events, JournalEvent(parked=parked), epoch=epoch)]
    for _ in range(draw(st.integers(0, 5))):
        place = draw(st.integers(step + 1, step + len(wanted)))
        by = draw(st.sampled_from(["ana", "bea", "carl"]))
        records.append(run.decided(place, draw(st.sampled_from(_DECISIONS)), by))
    return records


@st.composite
def journals(draw: st.DrawFn) -> list[Entry]:
    """Accepted, then claims, steps with ends of every kind, questions to people and what they said,
    cancellations, perhaps an end and a replay."""
    run = RecordsOf("acme", "a" * 52)
    records = [run.accepted()]
    open_keys: list[str] = []
    epoch = step = 0
    for _ in range(draw(st.integers(0, 12))):
        sequence = 3 + 7 * len(records)
        if not epoch or draw(st.integers(0, 5)) == 0:
            records.append(run.claimed(item=sequence))
            epoch = sequence
            continue
        events: list[JournalEvent] = []
        for key in draw(st.lists(st.sampled_from(open_keys), unique=True)) if open_keys else ():
            open_keys.remove(key)
            if draw(st.booleans()):
                usage = Usage(
                    input_tokens=draw(_amounts), output_tokens=draw(_amounts), reasoning_tokens=draw(_amounts)
                )
                outcome = draw(st.sampled_from(_OUTCOMES))
                events.append(ended(key, outcome, usage=usage, microusd=draw(_amounts)))
            else:
                how = draw(st.sampled_from(_ABANDONMENTS))
                events.append(abandoned(key, how, microusd=draw(_amounts)))
        for _ in range(draw(st.integers(0, 2))):
            step += 1
            key = step_key(run.tenant, run.run_id, step, epoch, 1)
            kind = draw(st.sampled_from([StepKind.STEP_KIND_MODEL, StepKind.STEP_KIND_TOOL]))
            events.append(started(key, kind))
            open_keys.append(key)
        if epoch and draw(st.integers(0, 4)) == 0:
            records += _asked(draw, run, step, epoch, events)
            epoch = 0
        elif events:
            records.append(run.record(*events, epoch=epoch))
        elif draw(st.booleans()):
            records.append(run.cancel())
        else:
            records.append(run.handed_over())
    if epoch and draw(st.booleans()):
        status = draw(st.sampled_from(_ENDS))
        records.append(run.record(finished(status), epoch=epoch))
        if status == FinalStatus.FINAL_STATUS_DEAD and draw(st.booleans()):
            records.append(run.replayed() if draw(st.booleans()) else run.dropped())
    return stored(records)
