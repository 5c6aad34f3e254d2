"""Holds what a mesh kept, and what its callers were told, against what was promised."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from malha.api.gateway.v1.run_pb2 import RunEvent, RunStatus
from malha.api.run.v1.record_pb2 import StepKind, StepOutcome
from malha.run import BrokenJournalError, Entry, RunState, facts, fold, parse_position
from malha.testing.faults.kept import Kept, LedgerLine
from malha.testing.faults.load import ANSWER, Called
from malha.testing.faults.verdict import Verdict, Wrong

_PROVISIONAL, _CORRECTION = "provisional", "correction"


def check(runs: Sequence[Called], kept: Kept, again: dict[str, list[RunEvent]]) -> Verdict:
    """Everything that is wrong.

    Args:
        again: each run's events as they are told now, to whoever asks from the start.
    """
    verdict = Verdict(runs=len(runs))
    for run in runs:
        entries = kept.journals.get(run.run_id, [])
        if not run.ended:
            verdict.find(Wrong.STUCK, run.run_id, f"{run.text!r} is not over after {_told(run)}")
        state = _journal(run, entries, verdict)
        if state is None:
            continue
        _effects(run, state, kept, verdict)
        if state.final:
            _end(run, state, verdict)
            _money(state, kept.ledger[run.run_id], verdict)
            _announced(entries, kept.events[run.run_id], verdict)
            _streams(run, again.get(run.run_id, []), entries, verdict)
    _balances(kept, verdict)
    places = [parse_position(position) for position in kept.order]
    if places != sorted(set(places)):
        verdict.find(Wrong.EVENTS, "-" * 8, "announced positions do not grow")
    return verdict


def _journal(run: Called, entries: Sequence[Entry], verdict: Verdict) -> RunState | None:
    """Fold the journal, and find what no correct writer leaves."""
    if not entries:
        verdict.find(Wrong.LOST, run.run_id, f"{run.text!r} was acknowledged and has no journal")
        return None
    state: RunState | None = None
    good: set[int] = set()
    try:
        for entry in entries:
            if state is not None:
                _one_owner(state, entry, good, verdict)
            state = fold([entry], state)
    except BrokenJournalError as error:
        verdict.find(Wrong.DOUBLED, run.run_id, f"its journal is broken: {error}")
        return None
    return state


def _one_owner(state: RunState, entry: Entry, good: set[int], verdict: Verdict) -> None:
    if entry.record.epoch and entry.record.epoch != state.epoch:
        text = f"record {entry.sequence} was written under epoch {entry.record.epoch}, not {state.epoch}"
        verdict.find(Wrong.DOUBLED, state.run_id, text)
    if state.final:
        verdict.find(Wrong.DOUBLED, state.run_id, f"record {entry.sequence} comes after the end")
    for event in entry.record.events:
        if event.HasField("claimed") and state.claim and event.claimed.item != state.claim.item:
            text = f"item {state.claim.item} was acknowledged while the run was open"
            verdict.find(Wrong.LOST, state.run_id, text)
        if event.HasField("step_started") and event.step_started.step in good:
            verdict.find(Wrong.DOUBLED, state.run_id, f"step {event.step_started.step} was done again")
        if event.step_finished.outcome == StepOutcome.STEP_OUTCOME_OK:
            good.add(event.step_finished.step)


def _effects(run: Called, state: RunState, kept: Kept, verdict: Verdict) -> None:
    for line in run.lines:
        if kept.lines[line] > 1:
            verdict.find(Wrong.DOUBLED, run.run_id, f"{line!r} was written {kept.lines[line]} times")
        if state.status == RunStatus.RUN_STATUS_SUCCEEDED and kept.lines[line] < 1:
            verdict.find(Wrong.LOST, run.run_id, f"{line!r} was never written")
    twice = [step for (run_id, step), count in kept.done.items() if run_id == run.run_id and count > 1]
    if twice:
        verdict.find(Wrong.DOUBLED, run.run_id, f"steps {twice} have two effect records")


def _end(run: Called, state: RunState, verdict: Verdict) -> None:
    assert state.finished is not None
    status = RunStatus.Name(state.status).removeprefix("RUN_STATUS_")
    cancelled = run.cancelled and state.status == RunStatus.RUN_STATUS_CANCELLED
    if state.status != RunStatus.RUN_STATUS_SUCCEEDED and not cancelled:
        reason = state.finished.error_reason
        verdict.find(Wrong.LOST, run.run_id, f"{run.text!r} ended {status} ({reason})")
    if state.status == RunStatus.RUN_STATUS_SUCCEEDED:
        said = [event.answered.text for event in run.events if event.HasField("answered")]
        failed = [
            step.started.name
            for step in state.steps
            if step.finished is not None and step.finished.outcome != StepOutcome.STEP_OUTCOME_OK
        ]
        if run.ended and said != [ANSWER]:
            verdict.find(Wrong.LOST, run.run_id, f"{run.text!r} answered {said}")
        if failed:
            verdict.find(Wrong.LOST, run.run_id, f"{run.text!r}: {failed} failed without a fault of theirs")


def _money(state: RunState, ledger: Sequence[LedgerLine], verdict: Verdict) -> None:
    """Each journaled call settled once, for what the journal says; nothing else spent, nothing held."""
    assert state.finished is not None
    by_key: defaultdict[str, list[LedgerLine]] = defaultdict(list)
    for line in ledger:
        by_key[line.key].append(line)

    def off(text: str) -> None:
        verdict.find(Wrong.LEDGER, state.run_id, text)

    corrected = 0
    for step in state.steps:
        lines = by_key.pop(step.key, [])
        journaled = step.cost.amount_microusd if step.cost is not None else 0
        spent = sum(line.spent for line in lines)
        if not lines and (journaled or step.started.kind == StepKind.STEP_KIND_MODEL):
            off(f"{step.key} has no entry, the journal says {journaled}")
        elif lines and len(lines) < 2:
            off(f"{step.key} was never settled")
        elif _CORRECTION in (line.kind for line in lines):
            corrected += spent - journaled
        elif spent != journaled:
            off(f"{step.key} cost {journaled} by the journal, {spent} by the ledger")
    for key, lines in by_key.items():
        if spent := sum(line.spent for line in lines):
            off(f"{key} cost {spent} and is not in the journal")
    if held := sum(line.reserved for line in ledger):
        off(f"{held} are held for ever")
    told = state.finished.cost.amount_microusd
    if told != state.cost.amount_microusd:
        off(f"the end says {told}, the steps {state.cost.amount_microusd}")


def _balances(kept: Kept, verdict: Verdict) -> None:
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for lines in kept.ledger.values():
        for line in lines:
            sums[line.day][0] += line.spent
            sums[line.day][1] += line.reserved
    for day, (spent, reserved) in sums.items():
        if kept.balances.get(day, (0, 0)) != (spent, reserved):
            verdict.find(Wrong.LEDGER, "-" * 8, f"the balance of {day} is not the sum of its entries")


def _announced(entries: Sequence[Entry], events: Sequence[tuple[str, str]], verdict: Verdict) -> None:
    expected: list[tuple[str, str]] = []
    state: RunState | None = None
    for entry in entries:
        state = fold([entry], state)
        expected += [(fact.position, f"malha.{event}") for event, fact in facts(entry, state)]
    if events == expected:
        return
    run_id = entries[0].record.run_id
    missing = len(expected) - (Counter(expected) & Counter(events)).total()
    beyond = len(events) - len(expected) + missing
    verdict.find(
        Wrong.EVENTS, run_id, f"{missing} of {len(expected)} missing, {beyond} too many, else out of order"
    )


def _streams(run: Called, again: Sequence[RunEvent], entries: Sequence[Entry], verdict: Verdict) -> None:
    """Who lived through the faults saw what the journal tells, once and in order."""
    journaled = [
        f"{entry.sequence}.{index}" for entry in entries for index in range(len(entry.record.events))
    ]
    if [event.position for event in again] != journaled:
        verdict.find(Wrong.STREAMS, run.run_id, "the stream does not tell what the journal holds")
    said = {step: run.said.of(step) for step, _ in _texts(run.events)}
    if run.ended and said != dict(_texts(run.events)):
        verdict.find(Wrong.STREAMS, run.run_id, f"over {run.over} the parts of its texts make {said}")
    if run.ended and run.events != again:
        seen = [event.position for event in run.events]
        verdict.find(Wrong.STREAMS, run.run_id, f"over {run.over} it was told {seen}, now {journaled}")


def _told(run: Called) -> list[str]:
    return [f"{event.position} {event.WhichOneof('event')}" for event in run.events[-4:]]


def _texts(events: Sequence[RunEvent]) -> Iterator[tuple[int, str]]:
    """The texts of model steps as they ended, by step; a later attempt comes later."""
    for event in events:
        if event.step_finished.kind == StepKind.STEP_KIND_MODEL:
            yield event.step_finished.step, event.step_finished.text
