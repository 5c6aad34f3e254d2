"""What a journal means: the fold from records to the state of a run.

The state is a function of the records alone. Folding in pieces gives what folding at once gives, so a
worker keeps its state by folding each record it appended, and whoever takes over starts from nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from malha.api.run.v1.record_pb2 import FinalStatus, Finished, JournalEvent, Record
from malha.run.journal import Entry
from malha.run.position import Position
from malha.run.proposals import Proposal, Ruling
from malha.run.state import FINAL_STATUS, BrokenJournalError, RunState, StepState
from malha.run.sums import add_cost, add_usage


def fold(entries: Iterable[Entry], state: RunState | None = None) -> RunState:
    """The state after ``entries``, going on from ``state`` (which is changed) or from nothing.

    Events of a kind that this version does not know change nothing but the position.

    Raises:
        BrokenJournalError: no entries and no state, or records that no correct writer can have left.
    """
    try:
        for entry in entries:
            if state is None:
                state = RunState(entry)
            _fold_entry(state, entry)
    except ValueError as error:  # a key that is none, a time or an amount out of range
        raise BrokenJournalError("a value that no field of its kind can have") from error
    if state is None:
        raise BrokenJournalError("a run without records")
    return state


def fold_whatever(entries: Iterable[Entry], state: RunState | None = None) -> RunState:
    """As ``fold``, but a journal that breaks is that of a dead run, from the record on where it breaks.

    For those who show runs or must get rid of them. Of what follows only an operator's word counts.

    Raises:
        BrokenJournalError: the journal does not even begin.
    """
    for entry in entries:
        try:
            if state is None or not state.broken:
                state = fold([entry], state)
                continue
        except BrokenJournalError as error:
            if state is None:
                raise
            _break(state, entry, error)
        for event in entry.record.events:
            if event.HasField("dropped"):
                state.dropped = event.dropped
        state.last_sequence = max(state.last_sequence, entry.sequence)
        state.position = Position(state.last_sequence, max(0, len(entry.record.events) - 1))
    if state is None:
        raise BrokenJournalError("a run without records")
    return state


def _break(state: RunState, entry: Entry, error: BrokenJournalError) -> None:
    state.broken = str(error)
    state.finished = Finished(
        status=FinalStatus.FINAL_STATUS_DEAD,
        error_reason="JOURNAL_BROKEN",
        usage=state.usage,
        cost=state.cost,
    )
    state.finished_at = entry.time
    state.failure = state.parked = state.claim = None


def _fold_entry(state: RunState, entry: Entry) -> None:
    record: Record = entry.record
    if record.run_id != state.run_id or record.tenant != state.tenant:
        raise BrokenJournalError("a record of another run")
    if entry.sequence <= state.last_sequence:
        raise BrokenJournalError("records out of order")
    for event in record.events:
        _FOLDS.get(event.WhichOneof("event"), _unknown)(state, event, entry)
    if record.epoch and record.epoch == state.epoch:
        state.unreleased_epochs = [state.epoch]
    state.last_sequence = entry.sequence
    state.last_at = entry.time
    state.records += 1
    state.bytes += entry.size
    if record.events:
        state.position = Position(entry.sequence, len(record.events) - 1)


def _accepted(state: RunState, event: JournalEvent, entry: Entry) -> None:
    if state.last_sequence or event is not entry.record.events[0]:
        raise BrokenJournalError("accepted twice")


def _claimed(state: RunState, event: JournalEvent, entry: Entry) -> None:
    state.epoch = entry.sequence
    state.claim = event.claimed
    state.claimed_at = entry.time
    state.unreleased_epochs.append(entry.sequence)
    if state.parked_at is not None:
        state.waited += max(timedelta(), entry.time - state.parked_at)
    state.parked = state.parked_at = None
    state.fruitless_claims += 1


def _step_started(state: RunState, event: JournalEvent, entry: Entry) -> None:
    step = StepState(event.step_started, event.content, entry.sequence, entry.time)
    if step.key in state._by_key:
        raise BrokenJournalError("a step key started twice")
    state._by_key[step.key] = step
    state.steps.append(step)
    if (proposal := state.proposal(step.step)) is not None:
        proposal.passed = True


def _step_finished(state: RunState, event: JournalEvent, entry: Entry) -> None:
    finished = event.step_finished
    step = _open_attempt(state, finished.key)
    step.finished = finished
    step.result = event.content
    step.ended_at = entry.time
    add_usage(state.usage, finished.usage)
    add_cost(state.cost, finished.cost)
    _progressed(state)


def _step_abandoned(state: RunState, event: JournalEvent, entry: Entry) -> None:
    step = _open_attempt(state, event.step_abandoned.key)
    step.abandoned = event.step_abandoned
    step.ended_at = entry.time
    add_usage(state.usage, event.step_abandoned.usage)
    add_cost(state.cost, event.step_abandoned.cost)


def _step_settled(state: RunState, event: JournalEvent, _entry: Entry) -> None:
    step = state._by_key.get(event.step_settled.key)
    if step is None or step.open or step.cost is not None:
        raise BrokenJournalError("a cost without an end, or a second one")
    step.settled = event.step_settled
    add_cost(state.cost, event.step_settled.cost)


def _answered(state: RunState, event: JournalEvent, _entry: Entry) -> None:
    state.answered = event.answered
    state.answer = event.content


def _proposed(state: RunState, event: JournalEvent, entry: Entry) -> None:
    earlier = state.proposal(event.proposed.step)
    if earlier is not None:
        earlier.passed = True
    proposal = Proposal(event.proposed, event.content, entry.time)
    state.proposals.append(proposal)
    state._proposal_of[event.proposed.step] = proposal


def _progressed(state: RunState) -> None:
    state.fruitless_claims = 0
    if state.claim is not None:
        state._fruitful = state.claim.item, state.claim.delivery


def _handed_over(state: RunState, _event: JournalEvent, _entry: Entry) -> None:
    if state.fruitless_claims and state.claim is not None:
        state.fruitless_claims -= 1
        state._fruitful = state.claim.item, state.claim.delivery


def _parked(state: RunState, event: JournalEvent, entry: Entry) -> None:
    _progressed(state)
    if state.claim is not None:
        state.spent.add(state.claim.item)
    event.parked.wake_at.ToDatetime()  # ValueError here, where it breaks one run, and no reader of many
    state.parked = event.parked
    state.parked_at = entry.time
    state.claim = None


def _decided(state: RunState, event: JournalEvent, entry: Entry) -> None:
    decided = event.decided
    ruling = Ruling(decided, event.content, entry.sequence, entry.time)
    if decided.key:
        state.outcomes.setdefault(decided.key, ruling)
        return
    proposal = state.proposal(decided.step)
    if proposal is None:
        raise BrokenJournalError("a decision on nothing")
    if proposal.proposed.hash == decided.hash:
        proposal.take(ruling)


def _cancel_requested(state: RunState, event: JournalEvent, _entry: Entry) -> None:
    state.cancel_requested = event.cancel_requested
    state.cancel_words = event.content


def _finished(state: RunState, event: JournalEvent, entry: Entry) -> None:
    if state.finished is not None:
        raise BrokenJournalError("finished twice")
    if event.finished.status not in FINAL_STATUS:
        raise BrokenJournalError("an end of no known kind")
    state.finished = event.finished
    state.failure = event.content
    state.finished_at = entry.time
    state.parked = state.parked_at = None
    state.claim = None
    state.given_up = [
        other.step_abandoned.key for other in entry.record.events if other.HasField("step_abandoned")
    ]


def _replayed(state: RunState, event: JournalEvent, entry: Entry) -> None:
    if not state.dead:
        raise BrokenJournalError("replayed though not dead")
    state.replayed = event.replayed
    state.begun_at = entry.time
    state.waited = timedelta()
    state.finished = state.failure = state.finished_at = None
    for key in state.given_up:  # what it had begun is open again, for the next owner to clear up
        step = state._by_key[key]
        if step.abandoned is not None:
            add_cost(state.cost, step.abandoned.cost, sign=-1)
        step.abandoned = step.ended_at = None
    state.given_up = []
    _progressed(state)


def _dropped(state: RunState, event: JournalEvent, _entry: Entry) -> None:
    if not state.dead:
        raise BrokenJournalError("dropped though not dead")
    state.dropped = event.dropped


def _unknown(_state: RunState, _event: JournalEvent, _entry: Entry) -> None:
    """An event of a later version: its record still counts, its meaning is not ours to guess."""


_FOLDS = {
    "accepted": _accepted,
    "claimed": _claimed,
    "handed_over": _handed_over,
    "step_started": _step_started,
    "step_finished": _step_finished,
    "step_abandoned": _step_abandoned,
    "step_settled": _step_settled,
    "answered": _answered,
    "proposed": _proposed,
    "parked": _parked,
    "decided": _decided,
    "cancel_requested": _cancel_requested,
    "finished": _finished,
    "replayed": _replayed,
    "dropped": _dropped,
}


def _open_attempt(state: RunState, key: str) -> StepState:
    step = state._by_key.get(key)
    if step is None or not step.open:
        raise BrokenJournalError("an end without a start")
    return step
