"""The only judge of money: prices what is asked, puts one question to the ledger, answers.

Prices are looked up before the transaction, so that an unknown model is refused without touching the
ledger and the one writer does nothing that can be done outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.cost.v1.budget_pb2 import Budget, BudgetPolicy, BudgetStatus
from malha.api.cost.v1.cost_service_pb2 import (
    AdjustRequest,
    AuthorizeResponse,
    GetBudgetResponse,
    HeldRun,
    QuoteRequest,
    Reservation,
    Settlement,
)
from malha.api.cost.v1.price_pb2 import Quote
from malha.api.cost.v1.usage_pb2 import DayUsage
from malha.clock import Clock
from malha.errors import ErrorReason, MalhaError, invalid
from malha.run.keys import parse_step_key
from malha_cost import alerts, authorization, budget, days, quoting, reserving
from malha_cost.accounts import SESSION, USER
from malha_cost.alerts import Told
from malha_cost.authorization import Decision, Known, Question
from malha_cost.budget import EACH, Who
from malha_cost.ledger import Entry, Payer, pseudonym
from malha_cost.open_runs import OpenRuns
from malha_cost.ports import Ledger
from malha_cost.prices import Price, PriceTable
from malha_cost.windows import MONTH, ends

MOST_HELD = 256
"""Runs of one answer, by the contract."""


class Judge:
    """Decides over a principal's money.

    Args:
        book: where it is written.
        prices: what models cost.
        reference: (provider, model) of comparison; None compares with nothing. It must have a price.
        clock: for windows and for how long room is kept for a run.
        decided: told of every decision, for metrics and alarms.
        told: marks that are known to be stored, shared with whoever finds them as well.
    """

    def __init__(
        self,
        book: Ledger,
        prices: PriceTable,
        *,
        reference: tuple[str, str] | None,
        clock: Clock,
        decided: Callable[[Decision], None] = lambda _: None,
        told: Told | None = None,
    ) -> None:
        self._book = book
        self._prices = prices
        self._reference = reference
        self._clock = clock
        self._decided = decided
        self._open_runs = OpenRuns()
        self._told = told or Told()

    async def authorize(
        self, principal: Principal, settle: Sequence[Settlement], reserve: Sequence[Reservation]
    ) -> AuthorizeResponse:
        """Settle, then reserve all or nothing, in one transaction; idempotent by key.

        A denial is an answer and keeps the settlements; an error keeps nothing.

        Raises:
            MalhaError: PRICE_UNKNOWN, RESERVATION_NOT_FOUND, SETTLEMENT_CONFLICT,
                IDEMPOTENCY_CONFLICT or FIELD_INVALID.
        """
        today = self._clock.now().date()
        payer = _payer(principal)
        limits: dict[str, int] = {}
        further: dict[str, int] = {}
        shortest: dict[str, int] = {}
        entries: dict[str, Entry] = {}
        reasoning: set[str] = set()
        for index, asked in enumerate(reserve):
            if asked.key in entries:
                raise invalid(f"reserve[{index}].key", "comes twice")
            price = None
            if asked.HasField("model"):
                price = self._prices.find(asked.model.provider, asked.model.model, today)
            entry = entries[asked.key] = reserving.reserve(asked, payer, price, field=f"reserve[{index}]")
            if not entry.reserved and not _of_the_version_before(asked):
                _declared_free(price, f"reserve[{index}]")
            if price is not None:
                if price.reasons:
                    reasoning.add(asked.key)
                further[asked.run_id] = asked.further_calls * entry.reserved
                if asked.model.min_output_tokens:
                    shortest[asked.key] = asked.model.min_output_tokens
            limit = asked.run_limit_microusd
            limits[asked.run_id] = min(limit, limits.get(asked.run_id, limit))
        unreserved = {
            settlement.key: _unreserved(settlement, f"settle[{index}]", payer)
            for index, settlement in enumerate(settle)
            if settlement.HasField("free") or settlement.release
        }
        sessions = {entry.session for entry in (*entries.values(), *unreserved.values())} - {""}
        question = Question(
            who=Who(*payer, sessions=frozenset(sessions), run_limits=limits),
            settle=settle,
            reserve=list(entries.values()),
            further=further,
            now=self._clock.monotonic(),
            unreserved=unreserved,
            shortest=shortest,
        )
        reference = self._prices.find(*self._reference, today) if self._reference else None

        def decide(question: Question, known: Known) -> Decision:
            decision = authorization.decide(question, known, self._open_runs, reference)
            if not decision.reached:
                return decision
            new = list(self._told.new(decision.reached))
            told = [alerts.alert_of(found, known.moment) for found in new]
            return decision._replace(reached=new, alerts=told)

        decision = await self._book.change(question, self._clock.now(), decide)
        self._told.took(decision.reached)
        self._decided(decision)
        if reasoning:
            for granted in decision.response.reserved:
                granted.reasons = granted.key in reasoning
        return decision.response

    def quote(self, asked: QuoteRequest) -> list[Quote]:
        """What so many tokens cost at today's prices of the models that are called so.

        Raises:
            MalhaError: PRICE_UNKNOWN where none is, FIELD_INVALID for usage that contradicts itself.
        """
        return quoting.quotes(self._prices, asked, self._clock.now().date())

    async def adjust(self, principal: Principal, asked: AdjustRequest) -> int:
        """Move what was spent under a settled key; what is spent under it then, in micro-dollars.

        Raises:
            MalhaError: as :func:`adjusting.adjust`.
        """
        question = Question(Who(*_payer(principal)), (), (), {}, self._clock.monotonic(), adjust=asked)
        decision = await self._book.change(question, self._clock.now(), authorization.adjust)
        self._decided(decision)
        return decision.response.settled[0].cost.amount_microusd

    async def standing(self, principal: Principal) -> GetBudgetResponse:
        """Where the budgets stand that bound the principal, how they are kept, and its quota."""
        known = await self._book.standing(Who(*_payer(principal)), self._clock.now())
        quota = known.rules.quota
        if quota is not None and (end := ends(MONTH, False, known.moment)):
            quota.resets_at.FromDatetime(end)
        statuses = [
            _readable(budget.dated(limit.status, known.policy, known.moment), principal)
            for limit in known.rules.limits
        ]
        request = budget.over_request(known.rules.request_microusd, known.rules.request_microusd + 1)
        assert request is not None
        statuses.append(budget.dated(request.budget, known.policy, known.moment))
        return GetBudgetResponse(statuses=statuses, policy=known.policy, quota=quota)

    async def set_budget(self, principal: Principal, wanted: Budget) -> BudgetStatus:
        """Set a limit of the tenant or its organisation, in force from the next reservation on."""
        budget.check(wanted)
        kept = Budget()
        kept.CopyFrom(wanted)
        if wanted.scope in (USER, SESSION) and wanted.scope_id != EACH:
            kept.scope_id = pseudonym(principal.tenant, wanted.scope_id)
        status = await self._book.set_budget(principal.tenant, kept, self._clock.now())
        status.budget.CopyFrom(wanted)
        return status

    async def set_policy(self, principal: Principal, wanted: BudgetPolicy, *, operator: bool) -> BudgetPolicy:
        """Say how the tenant's budgets are kept, from the next reservation on.

        Raises:
            MalhaError: SCOPE_MISSING where a field changes that only an operator may change.
        """
        budget.check_policy(wanted)

        def check(held: BudgetPolicy) -> None:
            if not operator and (wanted.organisation, wanted.monthly_tokens) != (
                held.organisation,
                held.monthly_tokens,
            ):
                raise MalhaError(
                    ErrorReason.ERROR_REASON_SCOPE_MISSING,
                    "changing a tenant's organisation or quota needs the right 'operator'",
                    metadata={"scope": "operator"},
                )

        return await self._book.set_policy(principal.tenant, wanted, check)

    async def usage(self, principal: Principal, since: str, until: str) -> list[DayUsage]:
        """What the tenant spent by day, both ends included; empty ends as the contract says.

        Raises:
            MalhaError: FIELD_INVALID, as :func:`days.chosen`.
        """
        return await self._book.usage(
            principal.tenant, self._clock.now(), lambda today: days.chosen(since, until, today)
        )

    async def held(self, older_than: timedelta, *, skip: int = 0) -> list[HeldRun]:
        """Runs for which something has been held for so long, but for the first ``skip`` of them."""
        return await self._book.held(self._clock.now() - older_than, limit=MOST_HELD, skip=skip)


def _payer(principal: Principal) -> Payer:
    tenant = principal.tenant
    return Payer(tenant, principal.key_id, pseudonym(tenant, principal.subject), principal.tier)


def _unreserved(settlement: Settlement, field: str, payer: Payer) -> Entry:
    """The entry that opens a key where nothing was reserved: of a free call, or of one never to be made."""
    asked = settlement.free
    if settlement.release:
        asked = Reservation(key=settlement.key, run_id=_run_of(settlement.key))
    elif asked.key != settlement.key:
        raise invalid(f"{field}.free.key", "is the settlement's")
    elif not asked.HasField("tool") or asked.tool.price_microusd:
        raise invalid(f"{field}.free.tool", "is a tool's use at price zero: anything else is reserved first")
    return reserving.reserve(asked, payer, None, field=f"{field}.free")


def _of_the_version_before(asked: Reservation) -> bool:
    """Whether a planner of the version before asks: it reserves what is free, and says no version."""
    return asked.HasField("tool") and asked.run_limit_microusd > 0 and not asked.agent_version


def _declared_free(price: Price | None, field: str) -> None:
    """Refuse a reservation of nothing for what is not free: it would let a call be made on no money."""
    if price is None:
        raise invalid(f"{field}.tool.price_microusd", "is above zero: what is free needs no reservation")
    if not price.rates.free:
        raise invalid(f"{field}.model.input_tokens", "and max_output_tokens are not both zero")


def _run_of(key: str) -> str:
    try:
        return parse_step_key(key).run_id
    except ValueError:
        return ""


def _readable(status: BudgetStatus, principal: Principal) -> BudgetStatus:
    """The status with the user's own name in place of what the ledger keeps."""
    if status.budget.scope == USER:
        status.budget.scope_id = principal.subject
    return status
