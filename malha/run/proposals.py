"""What people were told of and asked in a run, and what they said.

A proposed call stands open until enough people approved it or one rejected it. Nothing here knows the
time: a decision that came too late was left out by the fold, which knows when each was stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from types import MappingProxyType

from malha.api.run.v1.record_pb2 import Decided, Decision, Proposed, Risk, Sealed

APPROVALS_NEEDED: Mapping[Risk, int] = MappingProxyType({Risk.RISK_HIGH: 1, Risk.RISK_CRITICAL: 2})
"""How many different people must approve a call, by its risk; none where it is not listed."""


class Standing(Enum):
    """Where a proposed call stands, but for time."""

    OPEN = "people are still to decide"
    APPROVED = "it may run: enough people said so, or nobody had to"
    REJECTED = "it may not run"
    ENDED = "it may not run, and the run is to end"


@dataclass(slots=True)
class Ruling:
    """One person's decision as it was stored."""

    decided: Decided
    words: Sealed
    """Sealed content: comment and result."""
    sequence: int
    at: datetime


@dataclass(slots=True)
class Proposal:
    """A call that people were told of, and what came of it so far."""

    proposed: Proposed
    summary: Sealed
    """Sealed content: what people are shown."""
    at: datetime
    rulings: list[Ruling] = field(default_factory=list)
    """Those that count, in order."""
    passed: bool = False
    """The run has gone on with it, or with another proposal in its place: nothing is decided any more."""

    @property
    def standing(self) -> Standing:
        said = [ruling.decided.decision for ruling in self.rulings]
        if Decision.DECISION_END_RUN in said:
            return Standing.ENDED
        if Decision.DECISION_REJECT in said:
            return Standing.ENDED if self.proposed.rejection_ends_run else Standing.REJECTED
        return Standing.APPROVED if len(said) >= self.proposed.approvals else Standing.OPEN

    @property
    def approved_by(self) -> list[str]:
        """The subjects who approved, each once."""
        approved = Decision.DECISION_APPROVE
        return [ruling.decided.by for ruling in self.rulings if ruling.decided.decision == approved]

    @property
    def waits(self) -> bool:
        """Whether people may still decide it, if the run is parked for it."""
        return not self.passed and self.standing is Standing.OPEN

    def expired(self, now: datetime) -> bool:
        """Whether it has waited long enough; ``now`` is the journal's time."""
        return self.proposed.HasField("expire_time") and self._expiry <= now

    def take(self, ruling: Ruling) -> None:
        """Count a decision, unless it came too late, or decides what is decided, or is a second approval
        of the same person."""
        decided = ruling.decided
        again = decided.decision == Decision.DECISION_APPROVE and decided.by in self.approved_by
        if self.waits and not self.expired(ruling.at) and not again:
            self.rulings.append(ruling)

    @property
    def _expiry(self) -> datetime:
        return self.proposed.expire_time.ToDatetime(tzinfo=UTC)
