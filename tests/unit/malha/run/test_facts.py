"""What the follower announces and whom it wakes."""

from hypothesis import given

from malha.api.common.v1.usage_pb2 import Usage
from malha.api.run.v1.record_pb2 import (
    Abandonment,
    Decision,
    FinalStatus,
    Record,
    Sealed,
    StepKind,
    StepOutcome,
)
from malha.run import Entry, RunState, facts, fold, parse_position, wakes, without_content
from malha.testing.journals import journals, stored
from malha.testing.records import RecordsOf, abandoned, ended, finished, started

RUN = RecordsOf()
EPOCH = 10
KEY = f"{RUN.tenant}/{RUN.run_id}/1/{EPOCH}/1"


def told(*records: Record) -> list[list[tuple[str, str]]]:
    """Types and statuses announced for each record."""
    found = []
    state: RunState | None = None
    for entry in stored(list(records)):
        state = fold([entry], state)
        found.append([(kind, fact.status) for kind, fact in facts(entry, state)])
    return found


def test_each_event_is_announced_with_the_state_it_leads_to() -> None:
    assert told(
        RUN.accepted(),
        RUN.claimed(),
        RUN.record(started(KEY), epoch=EPOCH),
        RUN.record(ended(KEY, StepOutcome.STEP_OUTCOME_BLOCKED), epoch=EPOCH),
        RUN.cancel(),
        RUN.parked(EPOCH),
        RUN.record(finished(FinalStatus.FINAL_STATUS_DEAD, "TOO_MANY_DELIVERIES")),
        RUN.replayed(),
        RUN.record(finished(FinalStatus.FINAL_STATUS_DEAD, "TOO_MANY_DELIVERIES")),
        RUN.dropped(),
    ) == [
        [("run.accepted", "queued")],
        [("run.claimed", "running")],
        [("run.step_started", "running")],
        [("run.step_finished", "blocked")],
        [("run.cancel_requested", "running")],
        [("run.parked", "waiting")],
        [("run.finished", "dead")],
        [("run.replayed", "queued")],
        [("run.finished", "dead")],
        [("run.dropped", "cancelled")],
    ]


def test_people_are_told_of_a_call_by_its_risk_and_hash_and_without_a_word_of_it() -> None:
    notice, question = RUN.proposed(1, approvals=0), RUN.proposed(2, approvals=2)
    asks = RUN.record(notice, question, RUN.parked(EPOCH).events[0], epoch=EPOCH)
    entries = stored([RUN.accepted(), RUN.claimed(), asks, RUN.decided(2, Decision.DECISION_REJECT)])
    (told, of), (asked, about), (_, parked) = facts(entries[2], fold(entries[:3]))
    assert (told, of.step, of.name, of.risk, of.status) == ("run.notified", 1, "stop", "medium", "running")
    assert (asked, about.step, about.risk, about.status) == (
        "run.approval_requested",
        2,
        "critical",
        "waiting",
    )
    assert about.hash == (b"h" * 32).hex()
    assert parked.error_reason == "OUTCOME_UNKNOWN", "as the record says"
    ((decided, what),) = facts(entries[3], fold(entries))
    assert (decided, what.step, what.status, what.hash) == ("run.decided", 2, "reject", about.hash)


def test_the_end_of_a_step_names_what_its_start_named() -> None:
    record = RUN.record(
        started(KEY, StepKind.STEP_KIND_TOOL, "calculator"),
        ended(KEY, usage=Usage(input_tokens=3), microusd=7),
        epoch=EPOCH,
    )
    entries = stored([RUN.accepted(), RUN.claimed(), record])
    (_, _), (kind, fact) = facts(entries[-1], fold(entries))
    assert kind == "run.step_finished"
    assert (fact.step, fact.kind, fact.name, fact.status) == (1, "tool", "calculator", "ok")
    assert (fact.usage.input_tokens, fact.cost.amount_microusd) == (3, 7)
    assert fact.position == f"{entries[-1].sequence}.1"


def test_an_abandoned_step_is_announced_as_ended() -> None:
    end = abandoned(KEY, Abandonment.ABANDONMENT_SETTLED_AT_CEILING, microusd=9)
    entries = stored([RUN.accepted(), RUN.claimed(), RUN.record(started(KEY), end, epoch=EPOCH)])
    kind, fact = facts(entries[-1], fold(entries))[-1]
    assert (kind, fact.status, fact.name, fact.cost.amount_microusd) == (
        "run.step_finished",
        "abandoned",
        "model-1",
        9,
    )


@given(journals())
def test_positions_of_facts_are_unique_and_in_order(entries: list[Entry]) -> None:
    state: RunState | None = None
    positions = []
    for entry in entries:
        state = fold([entry], state)
        positions += [parse_position(fact.position) for _, fact in facts(entry, state)]
    assert positions == sorted(set(positions))
    assert state is not None
    assert positions[-1] <= state.position


def test_no_word_of_content_is_announced_or_kept_by_the_follower() -> None:
    record = RUN.accepted()
    record.events[0].content.CopyFrom(Sealed(key_id="k", nonce=b"n" * 12, ciphertext=b"the question"))
    (entry,) = stored([record])
    thin = without_content(entry)
    assert entry.record.events[0].HasField("content"), "the entry itself is left as it was"
    assert not thin.record.events[0].HasField("content")
    assert thin.record.events[0].accepted == record.events[0].accepted
    assert all(b"question" not in fact.SerializeToString() for _, fact in facts(entry, fold([entry])))


def test_acceptance_wakes_a_worker_and_so_does_cancelling_or_deciding_what_is_parked() -> None:
    assert wakes(RUN.accepted(), None)
    queued = fold(stored([RUN.accepted()]))
    running = fold(stored([RUN.accepted(), RUN.claimed()]))
    parked = fold(stored([RUN.accepted(), RUN.claimed(), RUN.parked(EPOCH)]))
    assert not wakes(RUN.cancel(), queued), "its item is still queued"
    assert not wakes(RUN.cancel(), running), "its worker is told by the doorbell"
    assert wakes(RUN.cancel(), parked)
    assert not wakes(RUN.claimed(), parked)
    dead = fold(stored([RUN.accepted(), RUN.record(finished(FinalStatus.FINAL_STATUS_DEAD))]))
    assert wakes(RUN.replayed(), dead), "its item was acknowledged"
    assert not wakes(RUN.dropped(), dead)
    assert not wakes(RUN.replayed(), fold(stored([RUN.accepted(), RUN.record(finished())])))
    asks = RUN.record(RUN.proposed(2), RUN.parked(EPOCH).events[0], epoch=EPOCH)
    waiting = fold(stored([RUN.accepted(), RUN.claimed(), asks]))
    assert wakes(RUN.decided(2, Decision.DECISION_APPROVE), waiting)
    assert not wakes(RUN.record(finished()), running)
