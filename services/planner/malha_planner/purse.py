"""The money of one run: nothing is called before it is reserved, nothing reserved is forgotten.

Settling the calls that are over and reserving the next ones is one round trip. A tool that costs nothing
needs none of its own: nobody could be denied it, and the ledger enters it with its settlement.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterable, Sequence

from malha.api.cost.v1.budget_pb2 import QuotaStatus, Scope
from malha.api.cost.v1.cost_service_pb2 import (
    AuthorizeRequest,
    Denied,
    Reservation,
    Reserved,
    Settlement,
    SettleRequest,
)
from malha.api.run.v1.record_pb2 import StepStarted
from malha.clock import Clock
from malha.errors import ErrorReason, MalhaError
from malha.run import settle
from malha_planner.lease import HandedOver, Lease
from malha_planner.patience import AWAY_OR_SILENT, patiently
from malha_planner.ports import Ledger, WorkItem

_FIRST, _LONGEST = 0.2, 1.0
"""Seconds between two questions for money that others hold: the ledger answers thousands a second, and a
thousand runs may wait."""
_AT_ONCE = 64
"""Settlements that one request may hold."""
UNKNOWN = {
    ErrorReason.ERROR_REASON_RESERVATION_NOT_FOUND,
    ErrorReason.ERROR_REASON_SETTLEMENT_CONFLICT,
}
"""Refusals of a settlement that another try does not cure: the ledger knows nothing of the key, or better."""


class Purse:
    """What a run owes, holds and may still spend.

    Args:
        agent_version: of the agent as it is loaded, which the journal does not tell.
        leaving: set when this process is to end: what waits for money then waits elsewhere.
    """

    def __init__(
        self,
        ledger: Ledger,
        lease: Lease,
        item: WorkItem,
        clock: Clock,
        *,
        agent_version: str,
        leaving: asyncio.Event,
    ) -> None:
        self._ledger = ledger
        self._lease = lease
        self._item = item
        self._clock = clock
        self._agent_version = agent_version
        self._leaving = leaving
        self._owed: list[Settlement] = []
        self._left: list[Settlement] = []
        """What earlier owners of the run left, and is not settled yet."""
        self.held: dict[str, int] = {}
        """Micro-dollars by key, reserved and not yet owed back; zero while nobody has said so."""

    def owe(self, started: StepStarted, figures: Settlement) -> None:
        """Settle the step with these figures, with the next round trip."""
        self.held.pop(started.key, None)
        settlement = settle(self._lease.state, started, figures)
        if settlement.HasField("free"):
            settlement.free.agent_version = self._agent_version
        self._owed.append(settlement)

    async def reserve(self, wanted: Sequence[Reservation]) -> Sequence[Reserved]:
        """Hold money for the calls, all or none; settle what is owed. What is held, in their order.

        While others may give money back this waits, after writing what is noted; it takes no slot meanwhile.

        Raises:
            MalhaError: BUDGET_EXCEEDED (metadata as of :func:`exceeded`), or what the ledger refuses with.
            HandedOver: this process ends while it waits.
            Interrupted, CancelSeen, Lost: as `Lease.within` and `Lease.write`.
        """
        limit = self._lease.state.accepted.limits.max_cost_microusd
        for one in wanted:
            one.run_limit_microusd = limit
        pause = _FIRST
        while True:
            request = AuthorizeRequest(settle=self._owed, reserve=wanted)
            # held from now on, as far as anyone knows: the answer may be lost, and this broken off
            self.held.update((one.key, 0) for one in wanted)
            try:
                answer = await patiently(self._lease, lambda: self._ledger.authorize(request))  # noqa: B023 - awaited at once
            except MalhaError as error:
                if error.reason not in AWAY_OR_SILENT:
                    self._not_held(wanted)
                raise
            self._owed.clear()
            self._lease.notes.price(answer.settled)
            if not answer.HasField("denied"):
                self.held.update((one.key, one.amount_microusd) for one in answer.reserved)
                return answer.reserved
            self._not_held(wanted)
            if not answer.denied.may_free:
                raise exceeded(answer.denied)
            await self._lease.write()
            if self._leaving.is_set():
                raise HandedOver
            wait = random.uniform(pause / 4, pause)  # noqa: S311 - jitter, no secret
            pause = min(pause * 2, _LONGEST)
            try:
                await self._lease.within(self._rest(wait), self._lease.remaining())
            except MalhaError:  # its time is over, or too many wait
                raise exceeded(answer.denied) from None

    async def _rest(self, seconds: float) -> None:
        async with self._item.resting():
            await self._clock.sleep(seconds)

    def _not_held(self, wanted: Sequence[Reservation]) -> None:
        for one in wanted:
            del self.held[one.key]

    async def settle(self) -> None:
        """Settle what is owed and what earlier owners left; release what is held for calls never made."""
        await self.settle_left()
        self._owed += [Settlement(key=key, release=True) for key in self.held]
        self.held.clear()
        if self._owed:
            await self._send(self._owed)
            self._owed.clear()

    async def let_go(self) -> None:
        """Settle what is known and release what was never begun, as far as it works; for a lost run.

        What was begun and has no outcome is left to the new owner, who pays it at its ceiling.
        """
        self._lease.close()
        attempt = self._lease.state.attempt
        self.held = {key: amount for key, amount in self.held.items() if attempt(key) is None}
        self._left.clear()
        with contextlib.suppress(MalhaError):
            await self.settle()

    def inherit(self, earlier: Iterable[Settlement]) -> None:
        """Take on what earlier owners of the run left."""
        self._left += earlier

    async def settle_left(self) -> None:
        """Settle what earlier owners left, where the ledger knows it. Where this is broken off, the run's end
        settles the rest.

        What they reserved without a record of it can only be guessed, and what the ledger does not know
        needs no settling. All goes at once, as the ledger knows all of it but after the rarest of deaths;
        else one by one.
        """
        at_once = _AT_ONCE
        while self._left:
            some = self._left[:at_once]
            try:
                await self._send(some)
            except MalhaError as error:
                if error.reason not in UNKNOWN:
                    raise
                if len(some) > 1:
                    at_once = 1
                    continue
            del self._left[: len(some)]

    async def _send(self, settlements: list[Settlement]) -> None:
        request = SettleRequest(settle=settlements)
        answer = await patiently(self._lease, lambda: self._ledger.settle(request))
        self._lease.notes.price(answer.settled)


def exceeded(denied: Denied) -> MalhaError:
    """BUDGET_EXCEEDED with the facts of what has no room.

    Metadata: scope, limit_microusd, left_microusd and resets_at of a budget; scope "quota", limit_tokens,
    left_tokens and resets_at of a token quota; fitting_output_tokens where a shorter answer would fit.
    """
    unit, status = ("tokens", denied.quota) if denied.HasField("quota") else ("microusd", denied.budget)
    if isinstance(status, QuotaStatus):
        scope, limit, wanted = "quota", status.limit_tokens, denied.wanted_tokens
        left = limit - status.used_tokens - status.reserved_tokens
    else:
        scope = Scope.Name(status.budget.scope).removeprefix("SCOPE_").lower()
        limit, wanted = status.budget.limit_microusd, denied.wanted_microusd
        left = limit - status.spent_microusd - status.reserved_microusd
    left = max(0, left)
    metadata = {"scope": scope, f"limit_{unit}": str(limit), f"left_{unit}": str(left)}
    if status.HasField("resets_at"):
        metadata["resets_at"] = status.resets_at.ToJsonString()
    if denied.fitting_output_tokens:
        metadata["fitting_output_tokens"] = str(denied.fitting_output_tokens)
    named = "token quota" if scope == "quota" else f"{scope} budget"
    why = "keeps what is left for runs that have begun" if denied.braked else "has no room for the next call"
    words = "tokens" if unit == "tokens" else "micro-dollars"
    return MalhaError(
        ErrorReason.ERROR_REASON_BUDGET_EXCEEDED,
        f"the {named} {why}",
        metadata=metadata,
        quota=(scope, f"{left} of {limit} {words} left, {wanted} wanted"),
    )
