"""A ledger is only ever added to: each entry moves money between free, reserved and spent.

``reserved`` and ``spent`` of an entry are signed changes (what is left over is the change of what is
free), so sums over entries are balances. A step key has at most three entries, one a stage: it is
opened by a reservation, closed once, and corrected at most once, and only if it was closed
provisionally. The tokens and the reference of a correction are changes too.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from malha.api.common.v1.usage_pb2 import Cost, Usage
from malha.api.cost.v1.cost_service_pb2 import Reservation, Settlement
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


class Entry(NamedTuple):
    """One line of the ledger; the fields are the table's columns, in their order."""

    tenant: str
    key: str
    stage: int
    kind: str
    at_us: int
    """When it was written, in microseconds since 1970."""
    day: str
    """UTC day of the reservation, YYYY-MM-DD: all entries of a key count in its windows."""
    key_id: str
    run_id: str
    agent: str
    component: str
    """"model" or "tool"."""
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


def reserve(
    reservation: Reservation, tenant: str, key_id: str, price: Price | None, *, day: str, at_us: int
) -> Entry:
    """The entry that opens a key, at the call's ceiling; ``price`` is None for a tool."""
    model, tool = reservation.model, reservation.tool
    rates = price.rates if price else Rates(0, 0, 0)
    return Entry(
        tenant=tenant,
        key=reservation.key,
        stage=OPENED,
        kind=Kind.RESERVATION,
        at_us=at_us,
        day=day,
        key_id=key_id,
        run_id=reservation.run_id,
        agent=reservation.agent,
        component="model" if price else "tool",
        provider=model.provider,
        model=model.model if price else tool.tool,
        price_row=price.row if price else "declared",
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
    )


def asked_before(asked: Entry, history: list[Entry]) -> bool:
    """Whether the reservation stands already: the same call under the same key.

    A price may have changed between the two askings; the first one holds.

    Raises:
        MalhaError: IDEMPOTENCY_CONFLICT where the key belongs to another call; SETTLEMENT_CONFLICT
            where the key was released: its money is gone, and a call under it would be made on none.
    """
    if not history:
        return False
    opened = history[OPENED]
    if history[-1].kind == Kind.RELEASE:
        raise MalhaError(
            ErrorReason.ERROR_REASON_SETTLEMENT_CONFLICT,
            "the step key was released and cannot be reserved again",
            metadata={"key": asked.key},
        )
    if _call(opened) != _call(asked):
        raise MalhaError(
            ErrorReason.ERROR_REASON_IDEMPOTENCY_CONFLICT,
            "the step key was used for another call",
            metadata={"run_id": opened.run_id, "key": asked.key},
        )
    return True


def held(history: list[Entry]) -> Cost:
    """What the ledger holds for a key."""
    return Cost(
        amount_microusd=sum(entry.spent for entry in history),
        reference_microusd=sum(entry.reference for entry in history),
        reference_model=history[-1].reference_model,
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
    used, amount = _truth(settlement, opened, field)
    if not closed:
        kind = Kind.RELEASE if figures == "release" else Kind.SETTLEMENT
        return _closing(opened, kind, used, amount, at_us, reference)
    if len(history) == CORRECTED and history[CLOSED].kind == Kind.PROVISIONAL:
        return _correction(history[CLOSED], used, amount, at_us, reference)
    if _known(history) != (used, amount):
        raise MalhaError(
            ErrorReason.ERROR_REASON_SETTLEMENT_CONFLICT,
            f"the key of {field} was settled with other numbers",
            metadata={"key": settlement.key},
        )
    return None


def overrun(history: list[Entry]) -> int:
    """Micro-dollars spent under a key beyond what was reserved for it; zero where it kept within."""
    return max(0, sum(entry.spent for entry in history) - history[OPENED].reserved)


def _truth(settlement: Settlement, opened: Entry, field: str) -> tuple[Usage, int]:
    """What the settlement says was used, and its amount in micro-dollars."""
    figures = settlement.WhichOneof("figures")
    if figures == "release":
        if not settlement.release:
            raise invalid(f"{field}.release", "is true or absent")
        return Usage(), 0
    if (figures == "usage") is not (opened.component == "model"):
        raise invalid(f"{field}.{figures}", f"does not fit a {opened.component} call")
    if figures == "usage":
        used = settlement.usage
        if used.cached_input_tokens > used.input_tokens:
            raise invalid(f"{field}.usage.cached_input_tokens", "is part of input_tokens, so not above it")
        if used.reasoning_tokens > used.output_tokens:
            raise invalid(f"{field}.usage.reasoning_tokens", "is part of output_tokens, so not above it")
        if max(used.input_tokens, used.output_tokens) > MOST_MICROUSD:
            raise invalid(f"{field}.usage", "counts more tokens than any call can use")
        amount = Rates(opened.input_rate, opened.cached_rate, opened.output_rate).cost(used)
    else:
        used, amount = Usage(), settlement.amount_microusd
    if amount > MOST_MICROUSD:
        raise invalid(f"{field}.{figures}", "amounts to more than a billion dollars")
    return used, amount


def _closing(
    opened: Entry, kind: Kind, used: Usage, amount: int, at_us: int, reference: Price | None
) -> Entry:
    compared = reference if opened.component == "model" else None
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
    )


def _known(history: list[Entry]) -> tuple[Usage, int]:
    """The figures that closed a key, corrections applied."""
    lines = history[CLOSED:]
    used = Usage(
        input_tokens=sum(line.input_tokens for line in lines),
        cached_input_tokens=sum(line.cached_tokens for line in lines),
        output_tokens=sum(line.output_tokens for line in lines),
        reasoning_tokens=sum(line.reasoning_tokens for line in lines),
    )
    return used, sum(line.spent for line in lines)


def _call(opened: Entry) -> tuple[object, ...]:
    """What makes two reservations the same call."""
    tool_price = opened.reserved if opened.component == "tool" else None
    return (
        opened.run_id,
        opened.component,
        opened.provider,
        opened.model,
        opened.input_tokens,
        opened.output_tokens,
        tool_price,
    )
