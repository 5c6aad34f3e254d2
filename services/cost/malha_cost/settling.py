"""How a key is closed: with what was used, or at its ceiling where nobody knows, and then corrected once."""

from __future__ import annotations

from malha.api.common.v1.usage_pb2 import Cost, Usage
from malha.api.cost.v1.cost_service_pb2 import Settlement
from malha.errors import ErrorReason, MalhaError, invalid
from malha_cost.ledger import (
    CLOSED,
    CORRECTED,
    MOST_MICROUSD,
    OPENED,
    PRICED_BY_TOKENS,
    Entry,
    Kind,
    corrected,
    rates_of,
)
from malha_cost.prices import Price


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
    if history[CLOSED].kind == Kind.PROVISIONAL and not corrected(history):
        # closed by a process of the version before, it would not say by which terms it is corrected
        closed_line = history[CLOSED]._replace(terms=opened.terms)
        return _correction(closed_line, used, amount, at_us, reference)
    known, spent = _known(history)
    # of a call that is priced by tokens, they are the figures
    if known != used or (spent != amount and opened.component not in PRICED_BY_TOKENS):
        raise MalhaError(
            ErrorReason.ERROR_REASON_SETTLEMENT_CONFLICT,
            f"the key of {field} was settled with other numbers",
            metadata={"key": settlement.key},
            violations=((f"{field}.{figures}", "are other numbers than it was settled with"),),
        )
    return None


def held(history: list[Entry]) -> Cost:
    """What the ledger holds for a key."""
    return Cost(
        amount_microusd=sum(entry.spent for entry in history),
        reference_microusd=sum(entry.reference for entry in history),
        reference_model=history[-1].reference_model,
        overrun_microusd=overrun(history),
    )


def overrun(history: list[Entry]) -> int:
    """Micro-dollars used under a key beyond what was reserved for it; zero where it kept within.

    What people adjusted is none of it.
    """
    if len(history) == CLOSED:
        return 0
    return max(0, sum(entry.spent for entry in _used(history)) - history[OPENED].reserved)


def check_usage(used: Usage, within: str) -> None:
    """Refuse usage that contradicts itself (FIELD_INVALID); ``within`` begins its fields' names."""
    if used.cached_input_tokens > used.input_tokens:
        raise invalid(f"{within}cached_input_tokens", "is part of input_tokens, so not above it")
    if used.reasoning_tokens > used.output_tokens:
        raise invalid(f"{within}reasoning_tokens", "is part of output_tokens, so not above it")


def _truth(settlement: Settlement, opened: Entry, field: str) -> tuple[Usage, int]:
    """What the settlement says was used, and its amount in micro-dollars."""
    figures = settlement.WhichOneof("figures")
    if figures == "release":
        if not settlement.release:
            raise invalid(f"{field}.release", "is true or absent")
        return Usage(), 0
    if (figures == "usage") is not (opened.component in PRICED_BY_TOKENS):
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


def _closing(
    opened: Entry, kind: Kind, used: Usage, amount: int, at_us: int, reference: Price | None
) -> Entry:
    compared = reference if opened.component == "model" else None
    by_tokens = opened.component in PRICED_BY_TOKENS
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


def _used(history: list[Entry]) -> list[Entry]:
    """What closed and corrected a key, without what people made of it later."""
    return [line for line in history[CLOSED:] if line.stage <= CORRECTED]
