"""What people were asked and said: laws of the fold."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.api.run.v1.record_pb2 import Decision, JournalEvent, Parked, ParkReason, Record
from malha.run import BrokenJournalError, Entry, RunState, Standing, facts, fold, goes_on
from malha.testing.journals import START, journals, stored
from malha.testing.records import RecordsOf, finished, started

RUN = RecordsOf()
EPOCH = 10
APPROVE, REJECT, END = Decision.DECISION_APPROVE, Decision.DECISION_REJECT, Decision.DECISION_END_RUN
HAPPENED = Decision.DECISION_HAPPENED
KEY = f"{RUN.tenant}/{RUN.run_id}/2/{EPOCH}/1"


def waiting(*events: JournalEvent, reason: ParkReason = ParkReason.PARK_REASON_APPROVAL) -> Record:
    return RUN.record(*events, JournalEvent(parked=Parked(reason=reason, key="")), epoch=EPOCH)


def state_of(*records: Record) -> RunState:
    return fold(stored([RUN.accepted(), RUN.claimed(), *records]))


@given(
    st.integers(0, 2),
    st.booleans(),
    st.lists(st.tuples(st.sampled_from([APPROVE, REJECT, END]), st.sampled_from("abc")), max_size=5),
)
def test_a_call_stands_as_the_first_words_that_sufficed_left_it(
    approvals: int, ends: bool, said: list[tuple[Decision, str]]
) -> None:
    event = RUN.proposed(2, approvals=approvals, rejection_ends_run=ends)
    state = state_of(waiting(event), *(RUN.decided(2, decision, by) for decision, by in said))
    expected, people = Standing.APPROVED if not approvals else Standing.OPEN, set()
    for decision, by in said:
        if expected is not Standing.OPEN:
            break
        if decision == APPROVE:
            people.add(by)
            expected = Standing.APPROVED if len(people) == approvals else Standing.OPEN
        else:
            expected = Standing.ENDED if ends or decision == END else Standing.REJECTED
    assert state.proposals[0].standing is expected
    assert set(state.proposals[0].approved_by) == people


@given(journals())
def test_no_approval_stands_without_enough_different_people_in_time(entries: list[Entry]) -> None:
    for proposal in fold(entries).proposals:
        assert len(set(proposal.approved_by)) == len(proposal.approved_by)
        assert not any(proposal.expired(ruling.at) for ruling in proposal.rulings)
        if proposal.standing is Standing.APPROVED:
            assert len(proposal.approved_by) == proposal.proposed.approvals
        if proposal.standing is Standing.OPEN:
            assert len(proposal.approved_by) < proposal.proposed.approvals


@given(journals())
def test_exactly_the_decisions_that_count_are_announced(entries: list[Entry]) -> None:
    state: RunState | None = None
    announced = 0
    for entry in entries:
        state = fold([entry], state)
        announced += sum(kind == "run.decided" for kind, _ in facts(entry, state))
    assert state is not None
    assert announced == sum(len(proposal.rulings) for proposal in state.proposals)


@given(journals())
def test_time_spent_waiting_is_that_between_parking_and_the_next_claim(entries: list[Entry]) -> None:
    waited, since = timedelta(), None
    for entry in entries:
        for event in entry.record.events:
            if event.HasField("parked"):
                since = entry.time
            if event.HasField("claimed") and since is not None:
                waited, since = waited + (entry.time - since), None
            if event.HasField("finished"):
                since = None
            if event.HasField("replayed"):
                waited = timedelta()
    assert fold(entries).waited == waited


GOES_ON = [
    ("nobody said anything", [waiting(RUN.proposed(2))], False),
    ("it was approved", [waiting(RUN.proposed(2)), RUN.decided(2, APPROVE)], True),
    ("it was rejected", [waiting(RUN.proposed(2)), RUN.decided(2, REJECT)], True),
    ("one of two people", [waiting(RUN.proposed(2, approvals=2)), RUN.decided(2, APPROVE)], False),
    ("one of two calls", [waiting(RUN.proposed(2), RUN.proposed(3)), RUN.decided(2, APPROVE)], False),
    (
        "both calls",
        [waiting(RUN.proposed(2), RUN.proposed(3)), RUN.decided(3, REJECT), RUN.decided(2, APPROVE)],
        True,
    ),
    (
        "one of two calls, and that ends the run",
        [waiting(RUN.proposed(2, rejection_ends_run=True), RUN.proposed(3)), RUN.decided(2, REJECT)],
        True,
    ),
    ("someone ended it", [waiting(RUN.proposed(2), RUN.proposed(3)), RUN.decided(3, END)], True),
    ("another hash", [waiting(RUN.proposed(2)), RUN.decided(2, APPROVE, hash_=b"x" * 32)], False),
    ("a notice beside it", [waiting(RUN.proposed(2, approvals=0), RUN.proposed(3))], False),
    ("an outcome nobody told", [RUN.parked(EPOCH, KEY)], False),
    ("an outcome somebody told", [RUN.parked(EPOCH, KEY), RUN.decided(2, HAPPENED, key=KEY)], True),
    (
        "another outcome",
        [RUN.parked(EPOCH, KEY), RUN.decided(2, HAPPENED, key=KEY.replace("/2/", "/3/"))],
        False,
    ),
]


@pytest.mark.parametrize(("what", "records", "expected"), GOES_ON)
def test_a_parked_run_goes_on_once_all_it_waits_for_is_decided(
    what: str, records: list[Record], expected: bool
) -> None:
    assert goes_on(state_of(*records)) is expected, what


def test_a_call_that_was_started_is_decided_no_more() -> None:
    state = state_of(waiting(RUN.proposed(2)), RUN.claimed(item=2), RUN.record(started(KEY), epoch=24))
    assert state.proposals[0].passed
    assert not state.proposals[0].waits


def test_a_newer_proposal_of_the_same_call_takes_the_place_of_the_older() -> None:
    newer = waiting(RUN.proposed(2, hash_=b"n" * 32))
    state = state_of(waiting(RUN.proposed(2)), RUN.claimed(item=2), newer, RUN.decided(2, APPROVE))
    older, new = state.proposals
    assert (older.passed, older.rulings) == (True, [])
    assert state.waiting() == [new]


def test_a_decision_on_nothing_is_no_journal() -> None:
    with pytest.raises(BrokenJournalError):
        state_of(RUN.decided(2, APPROVE))


def test_an_ended_run_waits_for_nobody() -> None:
    state = state_of(waiting(RUN.proposed(2)), RUN.record(finished()))
    assert (state.waiting(), state.unsettled) == ([], "")
    assert state.last_at == START + timedelta(seconds=3)
