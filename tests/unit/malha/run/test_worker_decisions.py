"""CLAIM, REBASE, RESUME and the room in a journal: what a worker may do, as tables over journals."""

from datetime import datetime, timedelta
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.api.common.v1.usage_pb2 import Usage
from malha.api.run.v1.record_pb2 import Abandonment, FinalStatus, JournalEvent, Record, StepKind, StepOutcome
from malha.errors import ErrorReason, MalhaError
from malha.run import (
    MAX_CLAIMS,
    MAX_DELIVERIES,
    ClaimDecision,
    Entry,
    Rebase,
    RunState,
    check_room,
    decide_claim,
    fold,
    other_item,
    rebase,
    resume,
    settlements,
)
from malha.run.limits import MAX_BYTES, MAX_RECORD_BYTES, MAX_RECORDS, MAX_RESULT_BYTES
from malha.testing.journals import START, journals, stored
from malha.testing.records import RecordsOf, abandoned, ended, finished, started

RUN = RecordsOf()
MODEL, TOOL = StepKind.STEP_KIND_MODEL, StepKind.STEP_KIND_TOOL
FIRST, SECOND, THIRD = 10, 17, 24  # sequences of the second, third and fourth record of `stored`


def key(step: int, epoch: int, leg: int = 1) -> str:
    return f"{RUN.tenant}/{RUN.run_id}/{step}/{epoch}/{leg}"


def state_of(*records: Record) -> RunState:
    return fold(stored([RUN.accepted(), *records]))


def parked_until(when: datetime | None) -> Record:
    record = RUN.parked(FIRST)
    if when is not None:
        record.events[0].parked.wake_at.FromDatetime(when)
    return record


HOUR = timedelta(hours=1)

MINE, OTHERS = RUN.claimed(item=7), RUN.claimed(item=5)
OVER = RUN.record(finished())
PERSON, LATER, DUE = parked_until(None), parked_until(START + 2 * HOUR), parked_until(START + HOUR)
ACK, CLAIM, DEAD = ClaimDecision.ACK, ClaimDecision.CLAIM, ClaimDecision.DEAD
TOO_MANY = MAX_DELIVERIES + 1
TRIED = [MINE] * MAX_CLAIMS
RESULT = RUN.record(started(key(1, FIRST)), ended(key(1, FIRST)))
DEATH = RUN.record(finished(FinalStatus.FINAL_STATUS_DEAD))

CLAIMS = [
    # what the journal says; the records; delivery; is the other item queued; what to do
    ("it is queued", [], 1, False, CLAIM),
    ("it is over", [MINE, OVER], 1, False, ACK),
    ("it is over, and this is one too many", [MINE, OVER], TOO_MANY, False, ACK),
    ("this item's earlier delivery has it", [MINE], 2, False, CLAIM),
    ("another item, still queued, has it", [OTHERS], 1, True, ClaimDecision.ACK_OTHER_QUEUED),
    ("another item, gone, had it", [OTHERS], 1, False, CLAIM),
    ("four claims brought no result", TRIED[1:], MAX_CLAIMS, False, CLAIM),
    ("five claims brought no result", TRIED, MAX_CLAIMS + 1, False, DEAD),
    ("five claims, under items of which each came once", TRIED, 1, False, DEAD),
    ("five claims, but the first brought a result", [MINE, RESULT, *TRIED[1:]], MAX_CLAIMS + 1, False, CLAIM),
    ("five claims since the result", [MINE, RESULT, *TRIED], MAX_CLAIMS + 2, False, DEAD),
    ("five claims, but another has it", [*TRIED[1:], OTHERS], 6, True, ClaimDecision.ACK_OTHER_QUEUED),
    ("deliveries that came to no claim", [MINE], MAX_DELIVERIES, False, CLAIM),
    ("too many of those: it kills who looks at it", [MINE], TOO_MANY, False, DEAD),
    ("so many, but it had a result since", [RUN.claimed(item=7, delivery=9), RESULT], TOO_MANY, False, CLAIM),
    ("so many, but another has it", [OTHERS], TOO_MANY, True, ClaimDecision.ACK_OTHER_QUEUED),
    ("it is dead", [*TRIED, DEATH], 7, False, ACK),
    ("it was replayed", [*TRIED, DEATH, RUN.replayed()], 1, False, CLAIM),
    ("it was dropped", [*TRIED, DEATH, RUN.dropped()], 1, False, ACK),
    ("it waits for a person", [MINE, PERSON], 1, False, ACK),
    ("it waits until later", [MINE, LATER], 1, False, ACK),
    ("its time has come", [OTHERS, DUE], 1, False, CLAIM),
    ("it waits, but is to be cancelled", [OTHERS, PERSON, RUN.cancel()], 1, False, CLAIM),
    ("it was parked under this item, though its time has come", [MINE, DUE], 2, False, ACK),
    ("the same, and another has it by now", [MINE, PERSON, RUN.cancel(), OTHERS], 2, False, ACK),
]


@pytest.mark.parametrize(("says", "records", "delivery", "queued", "expected"), CLAIMS)
def test_the_journal_decides_what_becomes_of_an_item(
    says: str, records: list[Record], delivery: int, queued: bool, expected: ClaimDecision
) -> None:
    state = state_of(*records)
    decision = decide_claim(state, item=7, delivery=delivery, item_time=START + HOUR, other_queued=queued)
    assert decision == expected, says


def test_an_item_of_a_run_that_does_not_exist_is_done_with() -> None:
    assert decide_claim(None, item=7, delivery=9, item_time=START, other_queued=False) == ACK


def test_only_an_open_claim_of_another_item_must_be_looked_up() -> None:
    assert other_item(None, 7) == 0
    assert other_item(state_of(), 7) == 0
    assert other_item(state_of(RUN.claimed(item=7)), 7) == 0
    assert other_item(state_of(RUN.claimed(item=5)), 7) == 5
    assert other_item(state_of(RUN.claimed(item=5), parked_until(None)), 7) == 0
    assert other_item(state_of(RUN.claimed(item=5), RUN.record(finished())), 7) == 0


REBASES = [
    ("nothing but mine", state_of(RUN.claimed()), Rebase.APPEND_AGAIN),
    ("someone asked for its end", state_of(RUN.claimed(), RUN.cancel()), Rebase.CANCELLED),
    ("another took it over", state_of(RUN.claimed(), RUN.claimed(delivery=2)), Rebase.FENCED),
    (
        "taken over and cancelled",
        state_of(RUN.claimed(), RUN.cancel(), RUN.claimed(delivery=2)),
        Rebase.FENCED,
    ),
    ("it is over", state_of(RUN.claimed(), RUN.record(finished(), epoch=FIRST)), Rebase.FENCED),
    ("it is parked", state_of(RUN.claimed(), RUN.parked(FIRST)), Rebase.FENCED),
    ("it never was mine", state_of(), Rebase.FENCED),
]


@pytest.mark.parametrize(("found", "state", "expected"), REBASES)
def test_a_fenced_worker_does_what_is_left_to_it(found: str, state: RunState, expected: Rebase) -> None:
    assert rebase(state, FIRST) == expected, found


def test_a_first_owner_has_nothing_to_clear_up() -> None:
    left = resume(state_of(RUN.claimed()), FIRST)
    assert (left.release, left.settle_at_ceiling, left.resolve, left.settle) == ([], [], [], [])


def test_money_reserved_before_a_start_was_written_is_released() -> None:
    left = resume(state_of(RUN.claimed(), RUN.claimed(delivery=2)), SECOND)
    assert left.release == [key(1, FIRST)]
    left = resume(state_of(RUN.claimed(), RUN.claimed(delivery=2)), SECOND, width=3)
    assert left.release == [key(1, FIRST), key(2, FIRST), key(3, FIRST)]


def test_an_owner_that_died_while_clearing_up_is_cleared_up_too() -> None:
    state = state_of(RUN.claimed(), RUN.claimed(delivery=2), RUN.claimed(delivery=3))
    assert resume(state, THIRD).release == [key(1, FIRST), key(1, SECOND)]


def test_an_owner_that_handed_over_before_it_had_cleared_up_is_cleared_up_too() -> None:
    state = state_of(RUN.claimed(), RUN.claimed(delivery=2), RUN.handed_over(), RUN.claimed(delivery=3))
    assert resume(state, 31).release == [key(1, FIRST), key(1, SECOND)]


@pytest.mark.parametrize("handovers", [1, MAX_CLAIMS, MAX_DELIVERIES + 1])
def test_claims_that_were_handed_over_bring_no_run_nearer_to_its_death(handovers: int) -> None:
    claims = [(RUN.claimed(delivery=delivery), RUN.handed_over()) for delivery in range(1, handovers + 1)]
    state = state_of(*chain.from_iterable(claims))
    assert state.fruitless_claims == 0
    assert state.fruitless_deliveries(1, handovers + 1) == 1
    state = state_of(*chain.from_iterable(claims), RUN.claimed(delivery=handovers + 1))
    assert state.fruitless_claims == 1


def test_an_owner_that_wrote_had_cleared_up_what_was_before_it() -> None:
    work = RUN.record(started(key(1, SECOND)), ended(key(1, SECOND)), epoch=SECOND)
    state = state_of(RUN.claimed(), RUN.claimed(delivery=2), work, RUN.claimed(delivery=3))
    assert resume(state, 31).release == [key(2, SECOND)]


def test_a_model_call_without_a_result_is_settled_at_its_ceiling_and_a_tool_is_resolved() -> None:
    calls = RUN.record(started(key(1, FIRST), MODEL), started(key(2, FIRST), TOOL), epoch=FIRST)
    left = resume(state_of(RUN.claimed(), calls, RUN.claimed(delivery=2)), THIRD)
    assert [step.key for step in left.settle_at_ceiling] == [key(1, FIRST)]
    assert [step.key for step in left.resolve] == [key(2, FIRST)]
    assert left.settle == []
    assert key(3, FIRST) in left.release


def test_results_that_may_not_be_settled_are_settled_again() -> None:
    done = RUN.record(started(key(1, FIRST)), ended(key(1, FIRST), microusd=5), epoch=FIRST)
    left = resume(state_of(RUN.claimed(), done, RUN.claimed(delivery=2)), THIRD)
    assert [step.key for step in left.settle] == [key(1, FIRST)]


def test_a_further_leg_of_a_failed_step_may_have_been_reserved() -> None:
    failed = RUN.record(
        started(key(1, FIRST)), ended(key(1, FIRST), StepOutcome.STEP_OUTCOME_FAILED), epoch=FIRST
    )
    left = resume(state_of(RUN.claimed(), failed, RUN.claimed(delivery=2)), THIRD)
    assert left.release == [key(1, FIRST, leg=2), key(2, FIRST)]


@given(journals(), st.integers(1, 4))
def test_every_open_attempt_is_cleared_up_once_and_no_used_key_is_released(
    entries: list[Entry], width: int
) -> None:
    claim = RecordsOf("acme", "a" * 52).claimed(delivery=2)
    taken = Entry(entries[-1].sequence + 1, START, claim, claim.ByteSize())
    state = fold([*entries, taken])
    left = resume(state, taken.sequence, width=width)
    assert {*left.settle_at_ceiling, *left.resolve} == set(state.open_steps())
    assert {step.key for step in state.steps}.isdisjoint(left.release)
    assert len(set(left.release)) == len(left.release)


@given(journals())
def test_the_key_of_a_next_attempt_was_never_used(entries: list[Entry]) -> None:
    state = fold(entries)
    for step in {attempt.step for attempt in state.steps} | {state.last_step + 1}:
        assert state.attempt(state.next_key(step, state.epoch)) is None


def closed(kind: StepKind, end: JournalEvent) -> RunState:
    return state_of(RUN.claimed(), RUN.record(started(key(1, FIRST), kind), end, epoch=FIRST))


USED = Usage(input_tokens=7, output_tokens=3)
LOST = Abandonment.ABANDONMENT_SETTLED_AT_CEILING
NEVER_RAN = Abandonment.ABANDONMENT_TOMBSTONED
UNKNOWN = Abandonment.ABANDONMENT_UNKNOWN
INTERRUPTED = Abandonment.ABANDONMENT_INTERRUPTED
ONE = key(1, FIRST)

SETTLEMENTS = [
    ("a model's result, by its tokens", MODEL, ended(ONE, usage=USED), ("usage", USED)),
    ("a model that used nothing", MODEL, ended(ONE), ("usage", Usage())),
    ("a tool's result, by its amount", TOOL, ended(ONE, microusd=12), ("amount_microusd", 12)),
    ("a tool that was free", TOOL, ended(ONE), ("amount_microusd", 0)),
    ("a lost model call", MODEL, abandoned(ONE, LOST), ("at_ceiling", True)),
    ("a tool that never ran", TOOL, abandoned(ONE, NEVER_RAN), ("release", True)),
    ("a tool that may have run", TOOL, abandoned(ONE, UNKNOWN), ("at_ceiling", True)),
    ("an interrupted call", MODEL, abandoned(ONE, INTERRUPTED), ("at_ceiling", True)),
]


@pytest.mark.parametrize(("case", "kind", "end", "figures"), SETTLEMENTS)
def test_an_attempt_is_settled_by_how_it_ended(
    case: str, kind: StepKind, end: JournalEvent, figures: tuple[str, object]
) -> None:
    state = closed(kind, end)
    (found,) = settlements(state, state.steps)
    assert found.key == ONE
    assert (found.WhichOneof("figures"), getattr(found, figures[0])) == figures, case


def test_an_open_attempt_is_not_settled() -> None:
    state = state_of(RUN.claimed(), RUN.record(started(key(1, FIRST)), epoch=FIRST))
    assert settlements(state, state.steps) == []


@pytest.mark.parametrize(("records", "size"), [(MAX_RECORDS - 10, 0), (5, MAX_BYTES - MAX_RECORD_BYTES)])
def test_a_full_journal_starts_no_step_but_can_be_closed(records: int, size: int) -> None:
    state = state_of(RUN.claimed())
    state.records, state.bytes = records, size
    with pytest.raises(MalhaError) as full:
        check_room(state, RUN.record(started(key(1, FIRST)), epoch=FIRST))
    assert full.value.reason == ErrorReason.ERROR_REASON_JOURNAL_LIMIT
    check_room(state, RUN.record(ended(key(1, FIRST)), epoch=FIRST))
    check_room(state, RUN.record(finished(), epoch=FIRST))
    check_room(state, RUN.claimed())


def test_a_journal_that_is_half_full_has_room_for_as_many_tools_at_once_as_a_message_asks_for() -> None:
    state = state_of(RUN.claimed())
    state.bytes = MAX_BYTES // 2 - MAX_RECORD_BYTES - 10_000
    check_room(state, RUN.record(*(started(key(n, FIRST), TOOL) for n in range(1, 17)), epoch=FIRST))


@given(
    st.integers(1, 16),
    st.sampled_from([(MODEL, MAX_RECORD_BYTES), (TOOL, 2 * MAX_RESULT_BYTES)]),
    st.floats(0, 1),
    st.integers(0, 3),
)
def test_steps_that_found_room_can_always_end_within_the_limits(
    width: int, longest: tuple[StepKind, int], part: float, retries: int
) -> None:
    """Start steps of a size as long as there is room; whatever is allowed never passes the limit."""
    kind, result = longest[0], int(longest[1] * part)
    run = state_of(RUN.claimed())
    step = 0
    while True:
        starts = RUN.record(*(started(key(step + n + 1, FIRST), kind) for n in range(width)), epoch=FIRST)
        try:
            check_room(run, starts)
        except MalhaError:
            break
        run.records += 1 + width
        run.bytes += starts.ByteSize() + width * result
        step += width
    end = RUN.record(finished()).ByteSize() + retries * RUN.claimed().ByteSize()
    assert run.bytes + end <= MAX_BYTES
    assert run.records + 1 + retries <= MAX_RECORDS
