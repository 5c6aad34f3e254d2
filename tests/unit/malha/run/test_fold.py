"""The fold's laws: pieces equal the whole, totals equal sums, and order is strict."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.api.gateway.v1.run_pb2 import RunStatus
from malha.api.run.v1.record_pb2 import Record, StepKind
from malha.run import BrokenJournalError, Entry, RunState, StepState, fold, without_content
from malha.testing.journals import journals, stored
from malha.testing.records import RecordsOf, ended, finished, started


def seen(state: RunState) -> dict[str, Any]:
    """Everything a state says, comparable."""
    told = dict(vars(state))
    told.pop("_by_key")
    told["steps"] = [{name: getattr(step, name) for name in StepState.__slots__} for step in state.steps]
    return told | {"status": state.status, "last_step": state.last_step}


@given(journals(), st.data())
def test_folding_in_pieces_gives_what_folding_at_once_gives(
    entries: list[Entry], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(entries)))
    state = fold(entries[:cut])
    state = fold(entries[cut:], state)
    assert seen(state) == seen(fold(entries))


@given(journals())
def test_totals_are_the_sums_of_the_steps(entries: list[Entry]) -> None:
    state = fold(entries)
    finished_steps = [step.finished for step in state.steps if step.finished is not None]
    costs = [step.cost for step in finished_steps]
    costs += [step.abandoned.cost for step in state.steps if step.abandoned is not None]
    assert state.cost.amount_microusd == sum(cost.amount_microusd for cost in costs)
    assert state.usage.input_tokens == sum(step.usage.input_tokens for step in finished_steps)
    assert state.usage.output_tokens == sum(step.usage.output_tokens for step in finished_steps)
    assert state.usage.reasoning_tokens == sum(step.usage.reasoning_tokens for step in finished_steps)
    assert state.records == len(entries)
    assert state.bytes == sum(entry.record.ByteSize() for entry in entries)
    assert state.last_sequence == entries[-1].sequence


@given(journals(), st.data())
def test_records_in_another_order_or_twice_are_no_journal(entries: list[Entry], data: st.DataObject) -> None:
    again = data.draw(st.integers(0, len(entries) - 1))
    with pytest.raises(BrokenJournalError):
        fold([*entries, entries[again]])
    if len(entries) > 1:
        with pytest.raises(BrokenJournalError):
            fold(reversed(entries))


@given(journals())
def test_a_state_without_contents_is_the_same_but_for_them(entries: list[Entry]) -> None:
    thin = fold(without_content(entry) for entry in entries)
    assert (thin.status, thin.cost, thin.usage, thin.bytes) == (
        (whole := fold(entries)).status, whole.cost, whole.usage, whole.bytes,
    )  # fmt: skip


@given(journals())
def test_folding_changes_no_record(entries: list[Entry]) -> None:
    before = [entry.record.SerializeToString() for entry in entries]
    fold(entries)
    assert [entry.record.SerializeToString() for entry in entries] == before


def test_the_status_follows_the_journal() -> None:
    run = RecordsOf()
    records = [run.accepted(), run.claimed(), run.parked(10), run.claimed(item=2), run.record(finished())]
    statuses = [fold(stored(records[:length])).status for length in range(1, len(records) + 1)]
    assert statuses == [
        RunStatus.RUN_STATUS_QUEUED,
        RunStatus.RUN_STATUS_RUNNING,
        RunStatus.RUN_STATUS_WAITING,
        RunStatus.RUN_STATUS_RUNNING,
        RunStatus.RUN_STATUS_SUCCEEDED,
    ]


def test_the_epoch_is_the_sequence_of_the_last_claim() -> None:
    run = RecordsOf()
    entries = stored([run.accepted(), run.claimed(), run.claimed(delivery=2), run.cancel()])
    state = fold(entries)
    assert state.epoch == entries[2].sequence
    assert state.claimed_at == entries[2].time
    assert state.claim is not None
    assert state.claim.delivery == 2


def test_the_next_key_counts_legs_within_step_and_epoch() -> None:
    run = RecordsOf("acme")
    prefix = f"acme/{run.run_id}"
    key = f"{prefix}/1/10/1"
    state = fold(stored([run.accepted(), run.claimed(), run.record(started(key), epoch=10)]))
    assert state.next_key(1, 10) == f"{prefix}/1/10/2"
    assert state.next_key(1, 24) == f"{prefix}/1/24/1"
    assert state.next_key(state.last_step + 1, 10) == f"{prefix}/2/10/1"


def test_events_of_a_later_version_are_passed_over() -> None:
    run = RecordsOf()
    strange = run.record(epoch=10)
    # field 100 of JournalEvent does not exist: an empty message of that number
    strange.MergeFromString(Record(events=[]).SerializeToString() + b"\x22\x03\xa2\x06\x00")
    state = fold(stored([run.accepted(), run.claimed(), strange]))
    assert state.records == 3
    assert state.status == RunStatus.RUN_STATUS_RUNNING


def broken(*records: Record) -> list[Entry]:
    return stored(list(records))


RUN = RecordsOf()
FOREIGN = RecordsOf("globex", RUN.run_id)
KEY = f"{RUN.tenant}/{RUN.run_id}/1/10/1"


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([], id="nothing"),
        pytest.param(broken(RUN.claimed()), id="no Accepted first"),
        pytest.param(broken(RUN.record()), id="an empty first record"),
        pytest.param(broken(RUN.accepted(), RUN.accepted()), id="accepted twice"),
        pytest.param(broken(RUN.accepted(), RecordsOf().claimed()), id="a record of another run"),
        pytest.param(
            broken(RUN.accepted(), RecordsOf("globex", RUN.run_id).claimed()), id="of another tenant"
        ),
        pytest.param(broken(RUN.accepted(), RUN.record(ended(KEY))), id="an end without a start"),
        pytest.param(
            broken(RUN.accepted(), RUN.record(started(KEY), started(KEY))), id="a key started twice"
        ),
        pytest.param(
            broken(RUN.accepted(), RUN.record(started(KEY, StepKind.STEP_KIND_TOOL), ended(KEY), ended(KEY))),
            id="two ends",
        ),
        pytest.param(broken(RUN.accepted(), RUN.record(finished(), finished())), id="finished twice"),
    ],
)
def test_what_no_correct_writer_leaves_is_refused(entries: list[Entry]) -> None:
    with pytest.raises(BrokenJournalError):
        fold(entries)
