"""What dead, replayed, dropped and broken journals mean."""

from __future__ import annotations

from typing import cast

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from malha.api.gateway.v1.run_pb2 import RunStatus
from malha.api.run.v1.record_pb2 import (
    Abandonment,
    FinalStatus,
    Finished,
    JournalEvent,
    Parked,
    Record,
    StepKind,
    StepOutcome,
    StepStarted,
)
from malha.run import BrokenJournalError, Entry, RunState, facts, fold, fold_whatever, wake_time, wakes
from malha.testing.journals import journals, stored
from malha.testing.records import RecordsOf, abandoned, ended, finished, started

RUN = RecordsOf()
FIRST = 10  # sequence of the claim
ONE, TWO = (f"{RUN.tenant}/{RUN.run_id}/{step}/{FIRST}/1" for step in (1, 2))
WORK = RUN.record(started(ONE), ended(ONE, microusd=7), started(TWO, StepKind.STEP_KIND_TOOL), epoch=FIRST)
DEATH = RUN.record(
    abandoned(TWO, Abandonment.ABANDONMENT_UNKNOWN, microusd=5), finished(FinalStatus.FINAL_STATUS_DEAD, "X")
)
LIVED = [RUN.accepted(), RUN.claimed(), WORK]
DIED = [*LIVED, DEATH]


def state_of(*records: Record) -> RunState:
    return fold(stored(list(records)))


def test_a_replay_leaves_the_run_as_it_was_before_it_died() -> None:
    before, after = state_of(*LIVED), state_of(*DIED, RUN.replayed())
    assert [step.key for step in after.open_steps()] == [step.key for step in before.open_steps()] == [TWO]
    assert (after.cost, after.usage) == (before.cost, before.usage)
    assert after.attempt(ONE) is not None
    assert not after.final
    assert after.status == RunStatus.RUN_STATUS_QUEUED
    assert (after.finished_at, after.failure, after.claim) == (None, None, None)


def test_a_replayed_run_has_its_wall_time_anew() -> None:
    entries = stored([*DIED, RUN.replayed(), RUN.claimed()])
    assert fold(entries[:4]).begun_at == entries[0].time
    assert fold(entries).begun_at == entries[4].time


def test_a_replayed_run_may_die_and_be_replayed_again() -> None:
    again = [*DIED, RUN.replayed(), RUN.claimed(), DEATH]
    assert state_of(*again).dead
    assert state_of(*again).cost.amount_microusd == 12
    assert not state_of(*again, RUN.replayed()).final


def test_a_dropped_run_counts_as_cancelled_and_is_out_of_reach() -> None:
    state = state_of(*DIED, RUN.dropped("otto", "no use"))
    assert state.status == RunStatus.RUN_STATUS_CANCELLED
    assert state.final
    assert not state.dead
    assert state.dropped is not None
    assert (state.dropped.by, state.dropped.reason) == ("otto", "no use")


@pytest.mark.parametrize("word", [RUN.replayed(), RUN.dropped()])
@pytest.mark.parametrize("records", [LIVED, [*LIVED, RUN.record(finished())], [*DIED, RUN.dropped()]])
def test_no_correct_writer_replays_or_drops_what_is_not_dead(records: list[Record], word: Record) -> None:
    with pytest.raises(BrokenJournalError):
        state_of(*records, word)


BROKEN = RUN.record(ended(ONE), epoch=FIRST)  # an end without a start


def test_a_journal_that_breaks_is_that_of_a_dead_run_from_there_on() -> None:
    entries = stored([RUN.accepted(), RUN.claimed(), BROKEN, WORK])
    with pytest.raises(BrokenJournalError):
        fold(entries)
    state = fold_whatever(entries)
    assert state.broken == "an end without a start"
    assert state.dead
    assert state.finished is not None
    assert state.finished.error_reason == "JOURNAL_BROKEN"
    assert state.last_sequence == entries[-1].sequence, "so that an operator's word can be appended"
    assert state.steps == []


FAR_AWAY = Timestamp(seconds=10**17)


@pytest.mark.parametrize(
    "event",
    [
        JournalEvent(step_started=StepStarted(key="no key", step=1)),
        JournalEvent(parked=Parked(wake_at=FAR_AWAY)),
        JournalEvent(finished=Finished()),
        JournalEvent(finished=Finished(status=99)),  # type: ignore[arg-type]  # what no version knows
        ended(TWO, microusd=2**63 - 1),
    ],
    ids=["key", "time", "no end", "unknown end", "amount"],
)
def test_a_value_beyond_its_field_breaks_its_run_and_no_reader_of_many(event: JournalEvent) -> None:
    entries = stored([*LIVED, RUN.record(event, epoch=FIRST)])
    state = fold_whatever(entries)
    assert state.broken
    assert state.status == RunStatus.RUN_STATUS_DEAD
    assert wake_time(state) is None
    assert [kind for kind, _ in facts(entries[-1], state)] == ["run.finished"]


def test_a_value_that_a_later_version_knows_is_announced_by_its_number() -> None:
    entry = stored([*LIVED, RUN.record(ended(TWO, cast(StepOutcome, 77)), epoch=FIRST)])
    assert [fact.status for _, fact in facts(entry[-1], fold(entry))] == ["77"]


def test_a_journal_that_does_not_even_begin_is_no_run() -> None:
    with pytest.raises(BrokenJournalError):
        fold_whatever(stored([RUN.claimed()]))


def test_of_a_broken_journal_its_death_and_its_dropping_are_announced() -> None:
    told = []
    state: RunState | None = None
    for entry in stored([RUN.accepted(), RUN.claimed(), BROKEN, WORK, RUN.dropped()]):
        assert wakes(entry.record, state) == (state is None)
        state = fold_whatever([entry], state)
        told.append([(kind, fact.status, fact.error_reason) for kind, fact in facts(entry, state)])
    assert told[2:] == [
        [("run.finished", "dead", "JOURNAL_BROKEN")],
        [],
        [("run.dropped", "cancelled", "")],
    ]
    assert state is not None
    assert state.status == RunStatus.RUN_STATUS_CANCELLED


@given(journals(), st.data())
def test_a_sound_journal_means_the_same_to_both_folds(entries: list[Entry], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(entries)))
    whatever = fold_whatever(entries[cut:], fold_whatever(entries[:cut]))
    sound = fold(entries)
    assert not whatever.broken
    assert (whatever.status, whatever.cost, whatever.position) == (sound.status, sound.cost, sound.position)


@given(journals(), st.data())
def test_no_journal_whatever_breaks_the_second_fold_once_it_has_begun(
    entries: list[Entry], data: st.DataObject
) -> None:
    shuffled = [entries[0], *data.draw(st.permutations(entries))]
    assert fold_whatever(shuffled).last_sequence == entries[-1].sequence
