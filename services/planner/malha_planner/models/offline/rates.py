"""Prices in a result, and what a quantity of the priced thing costs.

"The cost of 40 hours" cannot be asked of a price tool; it follows from its result. The price and
what it is a price of are read from JSON (a number under a key such as `usd_per_hour`) or from lines
of text ("Acme: 2.49 USD/hour").
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from malha_planner.models.offline.quantities import Quantity, quantities
from malha_planner.models.offline.request import Request
from malha_planner.models.offline.results import data
from malha_planner.models.offline.words import Terms, Word, fold, same, words

_PRICE = Terms.of("price cost fee rate usd brl eur amount tariff")
_MONEY_WANTED = Terms.of(
    "price cost total pay spend spending expense bill gastar gasto pagar sair fica orcamento"
)
_CHEAPEST = re.compile(r"\b(?:cheapest|lowest|least expensive|mais barat[oa]|menor (?:preco|custo))\b")
_MONEY = ("usd", "brl", "eur", "gbp", "dollars", "dolares", "reais", "euros")
_PER = re.compile(r"(?:/|\bper\b|\bpor\b|\ban?\b|\bcada\b|_per_|_por_)\s*([^\W\d_]+)")
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


def wanted(request: Request, spans: tuple[tuple[int, int], ...]) -> Quantity | None:
    """The quantity whose cost is asked for: a number with a unit that no argument has used up."""
    if not any(word in _MONEY_WANTED for word in words(request.text) if word.folded != "time"):
        return None
    for quantity in request.quantities:
        used = any(start <= quantity.start < end for start, end in spans)
        if (
            quantity.written
            and quantity.unit is not None
            and not used
            and quantity.unit.folded not in (*_MONEY, "percent")
        ):
            return quantity
    return None


def totals(request: Request, quantity: Quantity, found: list[Rate]) -> list[Total]:
    """The products to reckon: every price's, or the cheapest alone if that is asked for or there are many."""
    fitting = [(rate, factor) for rate in found if (factor := _factor(quantity, rate)) is not None]
    if not fitting:
        return []
    if len(fitting) > _MOST or _CHEAPEST.search(fold(request.text)):
        fitting = [min(fitting, key=lambda pair: pair[0].price)]
    spoken = f"{quantity.plain} {quantity.unit.text}" if quantity.unit else str(quantity.plain)
    return [
        Total(
            rate.label,
            " * ".join([str(quantity.plain), *([str(factor)] if factor != 1 else []), str(rate.price)]),
            spoken,
        )
        for rate, factor in fitting
    ]


def _factor(quantity: Quantity, rate: Rate) -> int | None:
    """How many of the priced unit are in one of the quantity's; None where they do not meet."""
    assert quantity.unit is not None
    if rate.per is None or same(quantity.unit, rate.per):
        return 1
    asked, priced = _hours(quantity.unit), _hours(rate.per)
    return asked // priced if asked and priced and asked % priced == 0 else None


def _hours(unit: Word) -> int | None:
    return next((hours for name, hours in _HOURS.items() if same(unit, words(name)[0])), None)


def rates(text: str) -> list[Rate]:
    """The prices in a tool's result, in order, once each."""
    held = data(text)
    found = (
        list(_of_json(held, ""))
        if held is not None
        else [r for line in text.splitlines() for r in _of_line(line)]
    )
    return list({(rate.label, rate.price): rate for rate in found}.values())


def _of_json(held: Any, label: str) -> Iterator[Rate]:
    if isinstance(held, dict):
        label = next((v for v in held.values() if isinstance(v, str) and not v.startswith("http")), label)
        for key, value in held.items():
            if isinstance(value, dict | list):
                yield from _of_json(value, key if isinstance(value, dict) else label)
            elif (
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and any(w in _PRICE for w in _key(key))
            ):
                match = re.search(
                    r"(?:per|por|_)_?(hour|hora|day|dia|week|month|mes|unit|kg|item|person|night|gb)", key
                )
                yield Rate(label, Decimal(str(value)), words(match.group(1))[0] if match else None)
    elif isinstance(held, list):
        for value in held:
            yield from _of_json(value, label)


def _key(key: str) -> tuple[Word, ...]:
    return words(key.replace("_", " "))


def _of_line(line: str) -> Iterator[Rate]:
    for quantity in quantities(line, portuguese=False):
        if not quantity.written or quantity.unit is None or quantity.unit.folded not in _MONEY:
            continue
        per = _PER.match(fold(line[quantity.end :]).lstrip()) or _PER.search(
            fold(line[quantity.end : quantity.end + 24])
        )
        label = re.sub(r"^[\s\-*•\d.)]+", "", line[: quantity.start]).strip(" :-–—=(")
        label = re.split(r":|\s[-–—]\s|\s(?:costs?|charges?|is|at|custa|cobra)\s", label + " ")[0].strip()
        yield Rate(label, quantity.value, words(per.group(1))[0] if per else None)
        return
