"""Where a run stands, as its journal tells: what ``malha.run.fold`` makes, and what all others read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from malha.api.common.v1.usage_pb2 import Cost, Usage
from malha.api.gateway.v1.run_pb2 import RunStatus
from malha.api.run.v1.record_pb2 import (
    Accepted,
    Answered,
    CancelRequested,
    Claimed,
    Dropped,
    FinalStatus,
    Finished,
    JournalEvent,
    Parked,
    ParkReason,
    Replayed,
    Sealed,
    StepAbandoned,
    StepFinished,
    StepSettled,
    StepStarted,
)
from malha.run.journal import Entry
from malha.run.keys import parse_step_key, step_key
from malha.run.position import Position
from malha.run.proposals import Proposal, Ruling, Standing

FINAL_STATUS = {
    FinalStatus.FINAL_STATUS_SUCCEEDED: RunStatus.RUN_STATUS_SUCCEEDED,
    FinalStatus.FINAL_STATUS_FAILED: RunStatus.RUN_STATUS_FAILED,
    FinalStatus.FINAL_STATUS_CANCELLED: RunStatus.RUN_STATUS_CANCELLED,
    FinalStatus.FINAL_STATUS_DEAD: RunStatus.RUN_STATUS_DEAD,
}


class BrokenJournalError(Exception):
    """Records that no correct writer can have left: a fault of ours or of the store, not of a caller."""


class StepState:
    """One attempt at a step: its start and, once known, its end.

    ``arguments`` and ``result`` are the sealed contents of the start and of the result.
    """

    __slots__ = (
        "abandoned",
        "arguments",
        "ended_at",
        "epoch",
        "finished",
        "leg",
        "result",
        "sequence",
        "settled",
        "started",
        "started_at",
    )

    def __init__(self, started: StepStarted, arguments: Sealed, sequence: int, started_at: datetime) -> None:
        key = parse_step_key(started.key)
        self.started = started
        self.arguments = arguments
        self.epoch = key.epoch
        self.leg = key.leg
        self.sequence = sequence
        self.started_at = started_at
        self.finished: StepFinished | None = None
        self.result: Sealed | None = None
        self.abandoned: StepAbandoned | None = None
        self.settled: StepSettled | None = None
        self.ended_at: datetime | None = None

    @property
    def key(self) -> str:
        return self.started.key

    @property
    def step(self) -> int:
        """The place in the run's plan, from 1; attempts of one step share it."""
        return self.started.step

    @property
    def open(self) -> bool:
        """Started, and neither a result nor an abandonment followed."""
        return self.finished is None and self.abandoned is None

    @property
    def cost(self) -> Cost | None:
        """What the ledger holds for it; None while the journal does not say."""
        for said in (self.settled, self.finished, self.abandoned):
            if said is not None and said.HasField("cost"):
                return said.cost
        return None


class RunState:
    """Where a run stands. Made and moved on by ``fold`` only."""

    def __init__(self, entry: Entry) -> None:
        first = entry.record.events[0] if entry.record.events else JournalEvent()
        if first.WhichOneof("event") != "accepted":
            raise BrokenJournalError("a journal opens with Accepted")
        self.tenant = entry.record.tenant
        self.run_id = entry.record.run_id
        self.accepted: Accepted = first.accepted
        self.accepted_at = entry.time
        self.input: Sealed = first.content
        self.last_sequence = 0
        self.position = Position(0, 0)
        self.records = 0
        self.bytes = 0
        self.epoch = 0
        """Sequence of the last claim; 0 while nobody ever had the run."""
        self.claim: Claimed | None = None
        self.claimed_at: datetime | None = None
        self.unreleased_epochs: list[int] = []
        """Claims that may hold money without a record of it: the last that wrote, and all after it."""
        self.steps: list[StepState] = []
        """Every attempt, in the order of their starts."""
        self.answered: Answered | None = None
        self.answer: Sealed | None = None
        self.parked: Parked | None = None
        self.parked_at: datetime | None = None
        self.waited = timedelta()
        """Time the run stood parked, up to its last claim: it counts against no deadline."""
        self.spent: set[int] = set()
        """Items under which the run was parked: each was acknowledged, or is about to be."""
        self.proposals: list[Proposal] = []
        """Every call that people were told of, in order."""
        self._proposal_of: dict[int, Proposal] = {}
        self.outcomes: dict[str, Ruling] = {}
        """What people said became of attempts of unknown outcome, by key."""
        self.last_at = entry.time
        """Stored time of the last record."""
        self.cancel_requested: CancelRequested | None = None
        self.cancel_words: Sealed | None = None
        """Sealed content of CancelRequested: what was said with it."""
        self.finished: Finished | None = None
        self.failure: Sealed | None = None
        """Sealed content of Finished: what to tell the caller."""
        self.finished_at: datetime | None = None
        self.given_up: list[str] = []
        """Keys of the attempts that were abandoned in the record that declared the run dead."""
        self.replayed: Replayed | None = None
        """The last replay."""
        self.dropped: Dropped | None = None
        self.broken = ""
        """What is wrong with the journal, for a run that is dead of it; see ``fold_whatever``."""
        self.begun_at = entry.time
        """When its wall time began: when it was accepted, or replayed last."""
        self.fruitless_claims = 0
        """Claims since the last result of a step, those left out whose worker handed the run over."""
        self._fruitful = (0, 0)
        """(item, delivery) that the last result came under, or the last handover."""
        self.usage = Usage()
        """Sum over the finished steps."""
        self.cost = Cost()
        """Sum over the ended steps whose cost is known."""
        self._by_key: dict[str, StepState] = {}

    @property
    def final(self) -> bool:
        """It is over; only a dead run may be replayed."""
        return self.finished is not None

    @property
    def dead(self) -> bool:
        """Given up, and waiting for an operator."""
        return (
            self.finished is not None
            and self.finished.status == FinalStatus.FINAL_STATUS_DEAD
            and self.dropped is None
        )

    @property
    def status(self) -> RunStatus:
        """The state as callers see it."""
        if self.dropped is not None:
            return RunStatus.RUN_STATUS_CANCELLED
        if self.finished is not None:
            return FINAL_STATUS[self.finished.status]
        if self.parked is not None:
            return RunStatus.RUN_STATUS_WAITING
        return RunStatus.RUN_STATUS_RUNNING if self.claim is not None else RunStatus.RUN_STATUS_QUEUED

    @property
    def last_step(self) -> int:
        """The highest step number so far; 0 before the first."""
        return max((step.step for step in self.steps), default=0)

    def proposal(self, step: int) -> Proposal | None:
        """The last proposal of a step's call."""
        return self._proposal_of.get(step)

    def waiting(self) -> list[Proposal]:
        """The proposed calls that the parked run waits for."""
        if self.parked is None or self.parked.reason != ParkReason.PARK_REASON_APPROVAL:
            return []
        return [one for one in self.proposals if one.waits]

    @property
    def unsettled(self) -> str:
        """The key of the attempt whose outcome the parked run waits to be told; "" for none."""
        if self.parked is None or self.parked.reason != ParkReason.PARK_REASON_OUTCOME_UNKNOWN:
            return ""
        return "" if self.parked.key in self.outcomes else self.parked.key

    @property
    def decided(self) -> bool:
        """Whether people have said all that the parked run waits for."""
        if self.parked is None:
            return False
        if self.parked.reason == ParkReason.PARK_REASON_APPROVAL:
            ended = any(one.standing is Standing.ENDED for one in self.proposals if not one.passed)
            return ended or not self.waiting()
        return self.parked.key in self.outcomes

    @property
    def heeded(self) -> bool:
        """Whether the decision in the last record counts: it came in time, and decided something."""
        rulings = [*self.outcomes.values(), *(ruling for one in self.proposals for ruling in one.rulings)]
        return any(ruling.sequence == self.last_sequence for ruling in rulings)

    def fruitless_deliveries(self, item: int, delivery: int) -> int:
        """Of the item's ``delivery`` deliveries, those after the last that brought a result."""
        fruitful, at = self._fruitful
        return delivery - at if item == fruitful else delivery

    def attempt(self, key: str) -> StepState | None:
        """The attempt under ``key``, if it was started."""
        return self._by_key.get(key)

    def open_steps(self) -> Iterator[StepState]:
        """Attempts without an end, in order."""
        return (step for step in self.steps if step.open)

    def next_key(self, step: int, epoch: int) -> str:
        """The key of the next attempt at ``step`` under ``epoch``."""
        leg = 1 + sum(1 for other in self.steps if other.step == step and other.epoch == epoch)
        return step_key(self.tenant, self.run_id, step, epoch, leg)
