"""Lengths of time in the unit that a slot counts: two hours are 120 minutes."""

from dataclasses import replace
from decimal import Decimal

from malha_planner.models.offline.quantities import Quantity
from malha_planner.models.offline.schema import Slot
from malha_planner.models.offline.words import Word, words

_SECONDS = {
    word.stem: seconds
    for seconds, names in {
        1: "second segundo",
        60: "minute min minuto",
        3600: "hour h hora",
        86400: "day night dia noite",
        604800: "week semana",
    }.items()
    for word in words(names)
}


def seconds(unit: Word | None) -> int | None:
    """How long a unit lasts; None for what is no unit of time of a fixed length."""
    return None if unit is None else _SECONDS.get(unit.stem)


def in_unit_of(slot: Slot, quantity: Quantity) -> Quantity:
    """The quantity in the slot's unit, where both are lengths of time; else as it is."""
    own = next((word for word in (*slot.names, *slot.about) if word.stem in _SECONDS), None)
    said, wanted = seconds(quantity.unit), seconds(own)
    if said is None or wanted is None or said == wanted:
        return quantity
    return replace(quantity, value=quantity.value * Decimal(said) / Decimal(wanted), unit=own)
