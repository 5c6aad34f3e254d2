"""The only judge of money: prices what is asked, puts one question to the ledger, answers.

Prices are looked up before the transaction, so that an unknown model is refused without touching the
ledger and the one writer does nothing that can be done outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.cost.v1.budget_pb2 import Budget, BudgetStatus
from malha.api.cost.v1.cost_service_pb2 import AuthorizeResponse, Reservation, Settlement
from malha.clock import Clock
from malha.errors import invalid
from malha.run.keys import parse_step_key
from malha_cost import authorization, budget, ledger
from malha_cost.authorization import Decision, Known, Question
from malha_cost.ledger import Entry
from malha_cost.open_runs import OpenRuns
from malha_cost.ports import Ledger
from malha_cost.prices import PriceTable


class Judge:
    """Decides over a principal's money.

    Args:
        book: where it is written.
        prices: what models cost.
        reference: (provider, model) of comparison; None compares with nothing. It must have a price.
        clock: for windows and for how long room is kept for a run.
        decided: told of every decision, for metrics.
    """

    def __init__(
        self,
        book: Ledger,
        prices: PriceTable,
        *,
        reference: tuple[str, str] | None,
        clock: Clock,
        decided: Callable[[Decision], None] = lambda _: None,
    ) -> None:
        self._book = book
        self._prices = prices
        self._reference = reference
        self._clock = clock
        self._decided = decided
        self._open_runs = OpenRuns()

    async def authorize(
        self, principal: Principal, settle: Sequence[Settlement], reserve: Sequence[Reservation]
    ) -> AuthorizeResponse:
        """Settle, then reserve all or nothing, in one transaction; idempotent by key.

        A denial is an answer and keeps the settlements; an error keeps nothing.

        Raises:
            MalhaError: PRICE_UNKNOWN, RESERVATION_NOT_FOUND, SETTLEMENT_CONFLICT,
                IDEMPOTENCY_CONFLICT or FIELD_INVALID.
        """
        now = self._clock.now()
        day, at_us = now.date().isoformat(), _microseconds(now)
        limits: dict[str, int] = {}
        further: dict[str, int] = {}
        entries: dict[str, Entry] = {}
        for index, asked in enumerate(reserve):
            if asked.key in entries:
                raise invalid(f"reserve[{index}].key", "comes twice")
            price = None
            if asked.HasField("model"):
                price = self._prices.find(asked.model.provider, asked.model.model, now.date())
            entries[asked.key] = ledger.reserve(
                asked, principal.tenant, principal.key_id, price, day=day, at_us=at_us
            )
            if asked.HasField("model"):
                further[asked.run_id] = asked.further_calls * entries[asked.key].reserved
            limit = asked.run_limit_microusd
            limits[asked.run_id] = min(limit, limits.get(asked.run_id, limit))
        question = Question(
            tenant=principal.tenant,
            key_id=principal.key_id,
            settle=settle,
            reserve=list(entries.values()),
            run_limits=limits,
            further=further,
            day=day,
            at_us=at_us,
            now=self._clock.monotonic(),
            unreserved={
                settlement.key: _unreserved(settlement, f"settle[{index}]", principal, day=day, at_us=at_us)
                for index, settlement in enumerate(settle)
                if settlement.HasField("free") or settlement.release
            },
        )
        reference = self._prices.find(*self._reference, now.date()) if self._reference else None

        def decide(question: Question, known: Known) -> Decision:
            return authorization.decide(question, known, self._open_runs, reference)

        decision = await self._book.change(question, decide)
        self._decided(decision)
        return decision.response

    async def budgets(self, principal: Principal) -> list[BudgetStatus]:
        """Where the budgets of the principal's tenant and key stand."""
        day = self._clock.now().date().isoformat()
        statuses = await self._book.statuses(principal.tenant, principal.key_id, day)
        return [_dated(status, day) for status in statuses]

    async def set_budget(self, principal: Principal, wanted: Budget) -> BudgetStatus:
        """Set a limit of the principal's tenant, in force from the next reservation on."""
        budget.check(wanted)
        day = self._clock.now().date().isoformat()
        return _dated(await self._book.set_budget(principal.tenant, wanted, day), day)


def _unreserved(settlement: Settlement, field: str, principal: Principal, *, day: str, at_us: int) -> Entry:
    """The entry that opens a key where nothing was reserved: of a free call, or of one never to be made."""
    asked = settlement.free
    if settlement.release:
        asked = Reservation(key=settlement.key, run_id=_run_of(settlement.key))
    elif asked.key != settlement.key:
        raise invalid(f"{field}.free.key", "is the settlement's")
    elif not asked.HasField("tool") or asked.tool.price_microusd:
        raise invalid(f"{field}.free.tool", "is a tool's use at price zero: anything else is reserved first")
    return ledger.reserve(asked, principal.tenant, principal.key_id, None, day=day, at_us=at_us)


def _run_of(key: str) -> str:
    try:
        return parse_step_key(key).run_id
    except ValueError:
        return ""


def _dated(status: BudgetStatus, day: str) -> BudgetStatus:
    if end := budget.resets_at(status.budget.window, day):
        status.resets_at.FromDatetime(end)
    return status


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond
