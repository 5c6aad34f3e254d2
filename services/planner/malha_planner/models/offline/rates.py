"""Prices in a result, and what a quantity of the priced thing costs.

"The cost of 40 hours" cannot be asked of a price tool; it follows from its result. The price and
what it is a price of are read from JSON (a number under a key such as `usd_per_hour`) or from lines
of text ("Acme: 2.49 USD/hour").
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from malha_planner.models.offline.lexicon import UNITS
from malha_planner.models.offline.quantities import Quantity, quantities
from malha_planner.models.offline.request import Request
from malha_planner.models.offline.results import data
from malha_planner.models.offline.stems import fold
from malha_planner.models.offline.words import Terms, Word, same, words

_PRICE = Terms.of("price cost fee rate usd brl eur amount tariff")
_MONEY_WANTED = Terms.of(
    "price cost total pay spend spending expense bill gastar gasto pagar sair fica orcamento"
)
_CHEAPEST = re.compile(r"\b(?:cheapest|lowest|least expensive|mais barat[oa]|menor (?:preco|custo))\b")
_MONEY = ("usd", "brl", "eur", "gbp", "dollars", "dolares", "reais", "euros")
_PER = re.compile(r"(?:/|\bper\b|\bpor\b|\ban?\b|\bcada\b)\s*([^\W\d_]+)")
_LABEL_END = re.compile(r":|\s[-–—]\s|\s(?:costs?|charges?|custa|cobra)\s")
_SUMMARY = re.compile(
    r"\b(?:cheapest|lowest|highest|average|mean|total|mais (?:barat|car)[oa]|menor|maior|media)\b"
)
_UNITS = Terms.of(" ".join(UNITS))
_HOURS = {"h": 1, "day": 24, "week": 168}
_MOST = 3
"""Prices multiplied one by one; of more, the cheapest alone."""


@dataclass(frozen=True)
class Rate:
    """A price of something; `per` is the unit it is the price of, None where nothing says."""

    label: str
    price: Decimal
    per: Word | None


@dataclass(frozen=True)
class Total:
    """A product of a quantity and a price: what it is of, and the expression to reckon it."""

    label: str
    expression: str
    quantity: str


def wanted(request: Request, spans: tuple[tuple[int, int], ...] = ()) -> list[Quantity]:
    """The quantities whose cost may be asked for: numbers with a unit that no argument has used up."""
    if not any(word in _MONEY_WANTED for word in words(request.text)):
        return []
    return [
        quantity
        for quantity in request.quantities
        if quantity.written
        and quantity.unit is not None
        and quantity.unit.folded not in (*_MONEY, "percent")
        and not any(start <= quantity.start < end for start, end in spans)
    ]


def totals(request: Request, asked: Sequence[Quantity], found: Sequence[Rate]) -> list[Total]:
    """The products to reckon: every price's, or the cheapest alone if that is asked for or there are many."""
    for quantity in asked:
        fitting = [(rate, factor) for rate in found if (factor := _factor(quantity, rate)) is not None]
        if len(fitting) > _MOST or (fitting and _CHEAPEST.search(fold(request.text))):
            fitting = [min(fitting, key=lambda pair: pair[0].price)]
        if fitting:
            return [_total(quantity, rate, factor) for rate, factor in fitting]
    return []


def _total(quantity: Quantity, rate: Rate, factor: int) -> Total:
    factors = [str(quantity.plain), *([str(factor)] if factor != 1 else []), str(rate.price)]
    unit = quantity.unit.text if quantity.unit is not None else ""
    return Total(rate.label, " * ".join(factors), f"{quantity.plain} {unit}".strip())


def _factor(quantity: Quantity, rate: Rate) -> int | None:
    """How many of the priced unit are in one of the quantity's; None where they do not meet."""
    assert quantity.unit is not None
    if rate.per is None:
        return 1 if quantity.unit in _UNITS else None
    if same(quantity.unit, rate.per):
        return 1
    asked, priced = _hours(quantity.unit), _hours(rate.per)
    return asked // priced if asked and priced and asked % priced == 0 else None


def _hours(unit: Word) -> int | None:
    return next((hours for name, hours in _HOURS.items() if same(unit, words(name)[0])), None)


def rates(text: str) -> list[Rate]:
    """The prices in a tool's result, once each, in order; what sums others up ("the cheapest") is none."""
    held = data(text)
    found = _of_json(held, "") if held is not None else _of_lines(text)
    told = [rate for rate in found if not _SUMMARY.search(fold(rate.label))]
    return list({(rate.label, rate.price): rate for rate in told}.values())


def _of_json(held: Any, label: str) -> Iterator[Rate]:
    if isinstance(held, dict):
        label = next((v for v in held.values() if isinstance(v, str) and _number(v) is None), label)
        for key, value in held.items():
            if isinstance(value, dict | list):
                yield from _of_json(value, key if isinstance(value, dict) else label)
            elif (price := _number(value)) is not None and any(word in _PRICE for word in words(key)):
                per = re.search(r"(?:per|por)_([a-z]+)", key)
                yield Rate(label, price, words(per.group(1))[0] if per else None)
    elif isinstance(held, list):
        for value in held:
            yield from _of_json(value, label)


def _number(value: Any) -> Decimal | None:
    """A number, also one written as a string, as exact amounts are."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _of_lines(text: str) -> Iterator[Rate]:
    for line in text.splitlines():
        priced = (
            q for q in quantities(line, portuguese=False) if q.written and q.unit and q.unit.folded in _MONEY
        )
        price = next(priced, None)
        if price is not None:
            per = _PER.search(fold(line[price.end : price.end + 24]))
            label = _LABEL_END.split(line[: price.start].strip(" \t-*•=(") + " ")[0].strip(" :-–—")
            yield Rate(label, price.value, words(per.group(1))[0] if per else None)
