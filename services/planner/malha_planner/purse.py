"""The money of one run: nothing is called before it is reserved, nothing reserved is forgotten.

Settling the calls that are over and reserving the next ones is one round trip. A tool that costs nothing
needs none of its own: nobody could be denied it, and the ledger enters it with its settlement.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable, Sequence

from malha.api.cost.v1.budget_pb2 import Scope
from malha.api.cost.v1.cost_service_pb2 import (
    AuthorizeRequest,
    Denied,
    Reservation,
    Settlement,
    SettleRequest,
)
from malha.api.run.v1.record_pb2 import StepStarted
from malha.clock import Clock
from malha.errors import ErrorReason, MalhaError
from malha.run import settle
from malha_planner.lease import Lease
from malha_planner.patience import patiently
from malha_planner.ports import Ledger

_ASK_AGAIN = (0.05, 0.25)
_UNKNOWN = {
    ErrorReason.ERROR_REASON_RESERVATION_NOT_FOUND,
    ErrorReason.ERROR_REASON_SETTLEMENT_CONFLICT,
}


class Purse:
    """What a run owes, holds and may still spend."""

    def __init__(self, ledger: Ledger, lease: Lease, clock: Clock) -> None:
        self._ledger = ledger
        self._lease = lease
        self._clock = clock
        self._owed: list[Settlement] = []
        self.held: dict[str, int] = {}
        """Micro-dollars by key, reserved and not yet owed back."""

    def owe(self, started: StepStarted, figures: Settlement) -> None:
        """Settle the step with these figures, with the next round trip."""
        self.held.pop(started.key, None)
        self._owed.append(settle(self._lease.state, started, figures))

    async def reserve(self, wanted: Sequence[Reservation]) -> None:
        """Hold money for the calls, all or none; settle what is owed.

        While others may give money back this waits, after writing what is noted.

        Raises:
            MalhaError: BUDGET_EXCEEDED (metadata scope, limit_microusd, left_microusd, resets_at), or
                what the ledger refuses with.
            Interrupted, CancelSeen, Lost: as `Lease.within` and `Lease.write`.
        """
        limit = self._lease.state.accepted.limits.max_cost_microusd
        for one in wanted:
            one.run_limit_microusd = limit
        while True:
            request = AuthorizeRequest(settle=self._owed, reserve=wanted)
            answer = await patiently(self._lease, self._clock, lambda: self._ledger.authorize(request))  # noqa: B023 - awaited at once
            self._owed.clear()
            self._lease.price(answer.settled)
            if not answer.HasField("denied"):
                self.held.update((one.key, one.amount_microusd) for one in answer.reserved)
                return
            if not answer.denied.may_free or self._lease.remaining() <= _ASK_AGAIN[1]:
                raise exceeded(answer.denied)
            await self._lease.write()
            pause = random.uniform(*_ASK_AGAIN)  # noqa: S311 - jitter, no secret
            await self._lease.pause(pause)

    async def settle(self) -> None:
        """Settle what is owed, and release what is held for calls that were never made."""
        self._owed += [Settlement(key=key, release=True) for key in self.held]
        self.held.clear()
        if not self._owed:
            return
        request = SettleRequest(settle=self._owed)
        answer = await patiently(
            self._lease, self._clock, lambda: self._ledger.settle(request), at_least=10.0
        )
        self._owed.clear()
        self._lease.price(answer.settled)

    async def let_go(self) -> None:
        """Settle what is known and release what was never begun, as far as it works; for a lost run.

        What was begun and has no outcome is left to the new owner, who pays it at its ceiling.
        """
        attempt = self._lease.state.attempt
        self.held = {key: amount for key, amount in self.held.items() if attempt(key) is None}
        with contextlib.suppress(MalhaError):
            await self.settle()

    async def settle_known(self, settlements: Iterable[Settlement]) -> None:
        """Settle each of these where the ledger knows it; what it does not know needs no settling.

        For the keys of earlier owners: what they reserved without a record of it can only be guessed.
        """
        for settlement in settlements:
            request = SettleRequest(settle=[settlement])
            try:
                answer = await patiently(self._lease, self._clock, lambda: self._ledger.settle(request))  # noqa: B023 - awaited at once
            except MalhaError as error:
                if error.reason not in _UNKNOWN:
                    raise
            else:
                self._lease.price(answer.settled)


def exceeded(denied: Denied) -> MalhaError:
    """BUDGET_EXCEEDED with the facts of the limit that has no room."""
    status = denied.budget
    limit = status.budget.limit_microusd
    scope = Scope.Name(status.budget.scope).removeprefix("SCOPE_").lower()
    left = max(0, limit - status.spent_microusd - status.reserved_microusd)
    metadata = {"scope": scope, "limit_microusd": str(limit), "left_microusd": str(left)}
    if status.HasField("resets_at"):
        metadata["resets_at"] = status.resets_at.ToJsonString()
    return MalhaError(
        ErrorReason.ERROR_REASON_BUDGET_EXCEEDED,
        f"the {scope} budget has no room for the next call",
        metadata=metadata,
        quota=(scope, f"{left} of {limit} micro-dollars left, {denied.wanted_microusd} wanted"),
    )
