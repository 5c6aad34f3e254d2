"""How a key is opened: by a reservation at the call's ceiling, once."""

from __future__ import annotations

from malha.api.cost.v1.cost_service_pb2 import Component, Reservation
from malha.errors import ErrorReason, MalhaError, invalid
from malha_cost.ledger import (
    CLOSED,
    DECLARED,
    OPENED,
    PRICED_BY_TOKENS,
    Entry,
    Kind,
    Payer,
    pseudonym,
    rates_of,
)
from malha_cost.prices import Price, Rates

_COMPONENTS = {
    Component.COMPONENT_MODEL: "model",
    Component.COMPONENT_EMBEDDING: "embedding",
    Component.COMPONENT_SEARCH: "search",
    Component.COMPONENT_TOOL: "tool",
    Component.COMPONENT_INFRASTRUCTURE: "infrastructure",
}


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
    if (component in PRICED_BY_TOKENS) is not (price is not None):
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
