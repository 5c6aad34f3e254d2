"""A ledger is only ever added to: each entry moves money between free, reserved and spent.

``reserved`` and ``spent`` of an entry are signed changes, and what is free changes by the rest, so that
an entry's three postings add up to zero and sums over entries are balances. A step key has one entry a
stage: it is opened by a reservation, closed once, and corrected at most once, and only if it was closed
provisionally. The tokens and the reference of a correction are changes too. What people move afterwards,
for a reason, are adjustments behind these.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from malha.api.common.v1.usage_pb2 import Cost, Usage
from malha.api.cost.v1.cost_service_pb2 import AdjustRequest, Component, Reservation, Settlement
from malha.errors import ErrorReason, MalhaError, invalid
from malha_cost.prices import Price, Rates

MOST_MICROUSD = 10**15
"""No single amount is larger (a billion dollars): sums stay far from the end of 64 bits."""

OPENED, CLOSED, CORRECTED = 0, 1, 2


class Kind(StrEnum):
    """What an entry says."""

    RESERVATION = "reservation"
    SETTLEMENT = "settlement"
    PROVISIONAL = "provisional"
    RELEASE = "release"
    CORRECTION = "correction"
    ADJUSTMENT = "adjustment"


DECLARED = "declared"
"""In place of a price row: the price came with the reservation."""

_COMPONENTS = {
    Component.COMPONENT_MODEL: "model",
    Component.COMPONENT_EMBEDDING: "embedding",
    Component.COMPONENT_SEARCH: "search",
    Component.COMPONENT_TOOL: "tool",
    Component.COMPONENT_INFRASTRUCTURE: "infrastructure",
}
_PRICED_BY_TOKENS = {"model", "embedding"}


class Entry(NamedTuple):
    """One line of the ledger; the fields are the table's columns, in their order."""

    tenant: str
    key: str
    stage: int
    kind: str
    at_us: int
    """When it was written, in microseconds since 1970."""
    day: str
    """Of the reservation, in the tenant's time zone, YYYY-MM-DD: all entries of a key count there."""
    key_id: str
    run_id: str
    agent: str
    component: str
    """"model", "embedding", "search", "tool" or "infrastructure"."""
    provider: str
    model: str
    """Name of the model or tool."""
    price_row: str
    input_rate: int
    cached_rate: int
    output_rate: int
    input_tokens: int
    """Of a reservation: its ceiling. Of the others: what was used."""
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    reserved: int
    spent: int
    reference: int
    """What the tokens would have cost on the model of comparison, in micro-dollars."""
    reference_model: str
    organisation: str
    user_id: str
    """A pseudonym of the subject: the ledger is kept for ever and names no person."""
    session: str
    """A pseudonym too: callers choose what sessions are called."""
    agent_version: str
    opened_us: int
    """When the key was reserved."""
    grains: int
    """Which finer periods the key counts in (`windows.fine`), as budgets had it when it was reserved."""
    held_tokens: int
    tokens: int
    """Changes of what is held and what was used, as ``reserved`` and ``spent`` are of money."""
    saved: int
    """Of a settlement: micro-dollars that a kept answer saved."""
    adjustment: str
    reason: str
    """Of an adjustment: its id, and why."""
    terms: str
    """What the three rates do not say of the price (`prices.Rates.terms`)."""


class Payer(NamedTuple):
    """Who asks."""

    tenant: str
    key_id: str
    user_id: str
    tier: int


@lru_cache(8192)
def pseudonym(tenant: str, name: str) -> str:
    """What stands for a subject's or a session's name: the same for the same name, and no way back."""
    if not name:
        return ""
    digest = hashlib.sha256(tenant.encode() + b"\x00" + name.encode()).digest()
    return b32encode(digest[:20]).decode().lower()


def rates_of(entry: Entry) -> Rates:
    """By which a line was priced."""
    return Rates.kept(entry.input_rate, entry.cached_rate, entry.output_rate, entry.terms)


def reserve(reservation: Reservation, payer: Payer, price: Price | None, *, field: str) -> Entry:
    """The entry that opens a key, at the call's ceiling; ``price`` is None for a tool.

    When and in which windows it counts is said by :func:`dated`, once the tenant's calendar is known.

    Raises:
        MalhaError: FIELD_INVALID for a component that is priced otherwise, or an output that
            would do above the one that is asked for.
    """
    model, tool = reservation.model, reservation.tool
    rates, row = price.terms_of(batch=model.batch) if price else (Rates(0, 0, 0, half_up=True), DECLARED)
    component = _COMPONENTS.get(reservation.component, "model" if price else "tool")
    if (component in _PRICED_BY_TOKENS) is not (price is not None):
        raise invalid(f"{field}.component", "is not priced that way")
    if model.min_output_tokens > model.max_output_tokens:
        raise invalid(f"{field}.model.min_output_tokens", "is not above max_output_tokens")
    return Entry(
        tenant=payer.tenant,
        key=reservation.key,
        stage=OPENED,
        kind=Kind.RESERVATION,
        at_us=0,
        day="",
        key_id=payer.key_id,
        run_id=reservation.run_id,
        agent=reservation.agent,
        component=component,
        provider=model.provider,
        model=model.model if price else tool.tool,
        price_row=row,
        input_rate=rates.input,
        cached_rate=rates.cached_input,
        output_rate=rates.output,
        input_tokens=model.input_tokens,
        cached_tokens=0,
        output_tokens=model.max_output_tokens,
        reasoning_tokens=0,
        reserved=rates.ceiling(model.input_tokens, model.max_output_tokens) if price else tool.price_microusd,
        spent=0,
        reference=0,
        reference_model="",
        organisation="",
        user_id=payer.user_id,
        session=pseudonym(payer.tenant, reservation.session_id),
        agent_version=reservation.agent_version,
        opened_us=0,
        grains=0,
        held_tokens=model.input_tokens + model.max_output_tokens,
        tokens=0,
        saved=0,
        adjustment="",
        reason="",
        terms=rates.terms,
    )


def dated(opened: Entry, *, at_us: int, day: str, organisation: str, grains: int = 0) -> Entry:
    """The reservation, with when it was made and where it counts."""
    return opened._replace(at_us=at_us, opened_us=at_us, day=day, organisation=organisation, grains=grains)


def shortened(opened: Entry, output_tokens: int) -> Entry:
    """The reservation of a model call for less output."""
    return opened._replace(
        output_tokens=output_tokens,
        reserved=rates_of(opened).ceiling(opened.input_tokens, output_tokens),
        held_tokens=opened.input_tokens + output_tokens,
    )


def asked_before(asked: Entry, history: list[Entry], shortest: int = 0, *, field: str) -> bool:
    """Whether the reservation stands already: the same call under the same key.

    A price may have changed between the two askings; the first one holds.

    Args:
        shortest: output tokens that would do (zero: only all of them), as it may have been shortened.
        field: names the reservation in an error.

    Raises:
        MalhaError: IDEMPOTENCY_CONFLICT where the key belongs to another call; SETTLEMENT_CONFLICT
            where the key was released: its money is gone, and a call under it would be made on none.
    """
    if not history:
        return False
    opened = history[OPENED]
    if len(history) > CLOSED and history[CLOSED].kind == Kind.RELEASE:
        raise MalhaError(
            ErrorReason.ERROR_REASON_SETTLEMENT_CONFLICT,
            "the step key was released and cannot be reserved again",
            metadata={"key": asked.key},
            violations=((f"{field}.key", "was released"),),
        )
    granted = opened.output_tokens
    if 0 < shortest <= granted < asked.output_tokens:
        asked = shortened(asked, granted)
    if _call(opened) != _call(asked):
        raise MalhaError(
            ErrorReason.ERROR_REASON_IDEMPOTENCY_CONFLICT,
            "the step key was used for another call",
            metadata={"run_id": opened.run_id, "key": asked.key},
            violations=((f"{field}.key", "was used for another call"),),
        )
    return True


def held(history: list[Entry]) -> Cost:
    """What the ledger holds for a key."""
    return Cost(
        amount_microusd=sum(entry.spent for entry in history),
        reference_microusd=sum(entry.reference for entry in history),
        reference_model=history[-1].reference_model,
        overrun_microusd=overrun(history),
    )


def settle(
    settlement: Settlement, history: list[Entry], *, at_us: int, reference: Price | None, field: str
) -> Entry | None:
    """The entry that a settlement adds to a key's history; None where the ledger already says so.

    ``at_ceiling`` says that nobody knows, so it never contradicts what is known: two workers that
    settle the same key, one knowing and one not, leave the same balance in either order.

    Raises:
        MalhaError: RESERVATION_NOT_FOUND for an empty history, SETTLEMENT_CONFLICT where the key was
            settled with other numbers, FIELD_INVALID where the figures do not fit the call.
    """
    if not history:
        raise MalhaError(
            ErrorReason.ERROR_REASON_RESERVATION_NOT_FOUND,
            f"nothing was reserved under the key of {field}",
            metadata={"key": settlement.key},
            violations=((f"{field}.key", "is no key that something was reserved under"),),
        )
    opened, closed = history[OPENED], len(history) > CLOSED
    figures = settlement.WhichOneof("figures")
    if figures == "at_ceiling":
        if not settlement.at_ceiling:
            raise invalid(f"{field}.at_ceiling", "is true or absent")
        if closed:
            return None
        used = Usage(input_tokens=opened.input_tokens, output_tokens=opened.output_tokens)
        return _closing(opened, Kind.PROVISIONAL, used, opened.reserved, at_us, reference)
    saved = settlement.saved_microusd
    used, amount = _truth(settlement, opened, field)
    if not closed:
        kind = Kind.RELEASE if figures == "release" else Kind.SETTLEMENT
        return _closing(opened, kind, used, amount, at_us, reference)._replace(saved=saved)
    if history[CLOSED].kind == Kind.PROVISIONAL and not _corrected(history):
        # closed by a process of the version before, it would not say by which terms it is corrected
        closed_line = history[CLOSED]._replace(terms=opened.terms)
        return _correction(closed_line, used, amount, at_us, reference)
    known, spent = _known(history)
    # of a call that is priced by tokens, they are the figures
    if known != used or (spent != amount and opened.component not in _PRICED_BY_TOKENS):
        raise MalhaError(
            ErrorReason.ERROR_REASON_SETTLEMENT_CONFLICT,
            f"the key of {field} was settled with other numbers",
            metadata={"key": settlement.key},
            violations=((f"{field}.{figures}", "are other numbers than it was settled with"),),
        )
    return None


def overrun(history: list[Entry]) -> int:
    """Micro-dollars used under a key beyond what was reserved for it; zero where it kept within.

    What people adjusted is none of it.
    """
    if len(history) == CLOSED:
        return 0
    return max(0, sum(entry.spent for entry in _used(history)) - history[OPENED].reserved)


def adjust(asked: AdjustRequest, history: list[Entry], *, at_us: int) -> Entry | None:
    """The entry of an adjustment; None where it stands already.

    Raises:
        MalhaError: RESERVATION_NOT_FOUND where nothing was settled under the key,
            SETTLEMENT_CONFLICT where that was provisional, IDEMPOTENCY_CONFLICT where the id was used
            for another amount, FIELD_INVALID where less than nothing would be left.
    """
    if len(history) <= CLOSED or history[CLOSED].kind == Kind.RELEASE:
        raise MalhaError(
            ErrorReason.ERROR_REASON_RESERVATION_NOT_FOUND,
            "nothing was settled under the key",
            metadata={"key": asked.key},
            violations=(("key", "is no key that something was settled under"),),
        )
    if history[CLOSED].kind == Kind.PROVISIONAL and not _corrected(history):
        raise MalhaError(
            ErrorReason.ERROR_REASON_SETTLEMENT_CONFLICT,
            "the key is settled provisionally: its true figures may still come",
            metadata={"key": asked.key},
            violations=(("key", "is settled provisionally"),),
        )
    for entry in history:
        if entry.adjustment == asked.id:
            if (entry.spent, entry.reason) == (asked.amount_microusd, asked.reason):
                return None
            raise MalhaError(
                ErrorReason.ERROR_REASON_IDEMPOTENCY_CONFLICT,
                "the id was used for another adjustment of the key",
                metadata={"run_id": entry.run_id, "key": asked.key},
                violations=(("id", "was used for another adjustment"),),
            )
    if sum(entry.spent for entry in history) + asked.amount_microusd < 0:
        raise invalid("amount_microusd", "gives back more than was spent under the key")
    return history[OPENED]._replace(
        stage=max(CORRECTED, *(line.stage for line in history)) + 1,
        kind=Kind.ADJUSTMENT,
        at_us=at_us,
        input_tokens=0,
        output_tokens=0,
        reserved=0,
        spent=asked.amount_microusd,
        held_tokens=0,
        adjustment=asked.id,
        reason=asked.reason,
    )


def _used(history: list[Entry]) -> list[Entry]:
    """What closed and corrected a key, without what people made of it later."""
    return [line for line in history[CLOSED:] if line.stage <= CORRECTED]


def _corrected(history: list[Entry]) -> bool:
    return any(line.stage == CORRECTED for line in history)


def _truth(settlement: Settlement, opened: Entry, field: str) -> tuple[Usage, int]:
    """What the settlement says was used, and its amount in micro-dollars."""
    figures = settlement.WhichOneof("figures")
    if figures == "release":
        if not settlement.release:
            raise invalid(f"{field}.release", "is true or absent")
        return Usage(), 0
    if (figures == "usage") is not (opened.component in _PRICED_BY_TOKENS):
        raise invalid(f"{field}.{figures}", f"does not fit a {opened.component} call")
    if figures == "usage":
        used = settlement.usage
        check_usage(used, f"{field}.usage.")
        if max(used.input_tokens, used.output_tokens) > MOST_MICROUSD:
            raise invalid(f"{field}.usage", "counts more tokens than any call can use")
        amount = rates_of(opened).cost(used)
    else:
        used, amount = Usage(), settlement.amount_microusd
    if amount > MOST_MICROUSD:
        raise invalid(f"{field}.{figures}", "amounts to more than a billion dollars")
    return used, amount


def check_usage(used: Usage, within: str) -> None:
    """Refuse usage that contradicts itself (FIELD_INVALID); ``within`` begins its fields' names."""
    if used.cached_input_tokens > used.input_tokens:
        raise invalid(f"{within}cached_input_tokens", "is part of input_tokens, so not above it")
    if used.reasoning_tokens > used.output_tokens:
        raise invalid(f"{within}reasoning_tokens", "is part of output_tokens, so not above it")


def _closing(
    opened: Entry, kind: Kind, used: Usage, amount: int, at_us: int, reference: Price | None
) -> Entry:
    compared = reference if opened.component == "model" else None
    by_tokens = opened.component in _PRICED_BY_TOKENS
    return opened._replace(
        stage=CLOSED,
        kind=kind,
        at_us=at_us,
        input_tokens=used.input_tokens,
        cached_tokens=used.cached_input_tokens,
        output_tokens=used.output_tokens,
        reasoning_tokens=used.reasoning_tokens,
        reserved=-opened.reserved,
        spent=amount,
        reference=compared.rates.cost(used) if compared else 0,
        reference_model=compared.model if compared else "",
        held_tokens=-opened.held_tokens,
        tokens=used.input_tokens + used.output_tokens if by_tokens and opened.opened_us else 0,
    )


def _correction(closed: Entry, used: Usage, amount: int, at_us: int, reference: Price | None) -> Entry:
    true = _closing(closed, Kind.CORRECTION, used, amount, at_us, reference)
    return true._replace(
        stage=CORRECTED,
        input_tokens=true.input_tokens - closed.input_tokens,
        cached_tokens=true.cached_tokens - closed.cached_tokens,
        output_tokens=true.output_tokens - closed.output_tokens,
        reasoning_tokens=true.reasoning_tokens - closed.reasoning_tokens,
        reserved=0,
        spent=true.spent - closed.spent,
        reference=true.reference - closed.reference,
        held_tokens=0,
        tokens=true.tokens - closed.tokens,
    )


def _known(history: list[Entry]) -> tuple[Usage, int]:
    """The figures that closed a key, corrections applied."""
    lines = _used(history)
    used = Usage(
        input_tokens=sum(line.input_tokens for line in lines),
        cached_input_tokens=sum(line.cached_tokens for line in lines),
        output_tokens=sum(line.output_tokens for line in lines),
        reasoning_tokens=sum(line.reasoning_tokens for line in lines),
    )
    return used, sum(line.spent for line in lines)


def _call(opened: Entry) -> tuple[object, ...]:
    """What makes two reservations the same call."""
    tool_price = opened.reserved if opened.price_row == DECLARED else None
    return (
        opened.run_id,
        opened.component,
        opened.provider,
        opened.model,
        opened.input_tokens,
        opened.output_tokens,
        tool_price,
    )
