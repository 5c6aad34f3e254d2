"""Values that a schema itself recognises in a request: numbers, flags, enums, dates, currencies, units."""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import pairwise

from malha_planner.models.offline.candidate import Candidate
from malha_planner.models.offline.durations import in_unit_of, seconds
from malha_planner.models.offline.lexicon import TO_CUES, UNITS
from malha_planner.models.offline.numerals import NUMERALS
from malha_planner.models.offline.quantities import Quantity
from malha_planner.models.offline.request import Request
from malha_planner.models.offline.schema import Slot, ToolView
from malha_planner.models.offline.words import Terms, Word, same, words

_UNITS = Terms.of(" ".join(UNITS))
_YEAR = {word.stem for word in words("year ano")}
_PERCENT = Terms.of("percent rate discount taxa desconto porcentagem")
_CURRENCIES = {
    "dollar": "USD", "dolar": "USD", "usd": "USD", "real": "BRL", "reais": "BRL", "brl": "BRL", "euro": "EUR",
    "eur": "EUR", "pound": "GBP", "libra": "GBP", "gbp": "GBP", "yen": "JPY", "iene": "JPY", "peso": "ARS",
    "franc": "CHF", "franco": "CHF",
}  # fmt: skip


def numbers(slot: Slot, request: Request, _: ToolView) -> Iterator[Candidate]:
    lowest, highest = slot.schema.get("minimum"), slot.schema.get("maximum")
    for quantity in (in_unit_of(slot, quantity) for quantity in request.quantities):
        if slot.kind != "number" and not quantity.is_whole:
            continue
        if (lowest is not None and quantity.value < lowest) or (
            highest is not None and quantity.value > highest
        ):
            continue
        score = 0.5 if quantity.written else 0.35
        if quantity.is_year:
            score += 0.4 if any(word.stem in _YEAR for word in (*slot.names, *slot.about)) else -0.2
        if quantity.unit is not None:
            measured = slot.measures(quantity.unit)
            score += 0.4 if measured else -0.35 if measured is False else 0.0
            if quantity.unit.folded == "percent" and measured is None:
                score += 0.3 if any(word in _PERCENT for word in slot.names) else -0.3
            if measured is None:
                score += 0.35 * slot.terms.weight(quantity.unit)
        if score > 0.0:
            yield Candidate(quantity.plain, score, quantity.start, quantity.end, in_series=quantity.in_series)
    if slot.kind == "integer" and (lowest is None or lowest <= 1):
        yield from _single(slot, request)


def _single(slot: Slot, request: Request) -> Iterator[Candidate]:
    """The one that "one", "um" and even "a" may be: a number only right before what the slot counts."""
    named = Terms()
    named.add(slot.names, 1.0)
    for word, counted in pairwise(request.words):
        one, article = NUMERALS.get(word.folded) == 1, word.folded in ("a", "an") and not request.portuguese
        if (one and counted in slot.terms) or (article and counted in named):
            yield Candidate(1, 0.6, word.start, word.end)
        elif (one or article) and seconds(counted) is not None:
            length = in_unit_of(slot, Quantity(Decimal(1), word.start, word.end, counted))
            if length.unit is not counted and length.is_whole:
                yield Candidate(length.plain, 0.6, word.start, counted.end)


def hours(slot: Slot, request: Request, tool: ToolView) -> Iterator[Candidate]:
    """Full hours of the day; one before the slot's first is meant of the afternoon ("at 3")."""
    lowest = slot.schema.get("minimum", 0)
    for mention in request.mentions:
        if mention.kind == "time" and mention.value.endswith(":00"):
            hour = int(mention.value[:2])
            hour += 12 if hour < min(lowest, 12) else 0
            yield Candidate(hour, 0.9, mention.start, mention.end)
    yield from numbers(slot, request, tool)


def spoken_words(request: Request) -> list[Word]:
    """The words of a request; a unit written at its number ("3kg", "$5") is a word of its own."""
    units = [q.unit for q in request.quantities if q.unit is not None and q.written]
    return sorted(
        {word.start: word for word in (*request.words, *units)}.values(), key=lambda word: word.start
    )


def query(_: Slot, request: Request, __: ToolView) -> Iterator[Candidate]:
    yield Candidate(request.text, 0.6)


def expressions(_: Slot, request: Request, __: ToolView) -> Iterator[Candidate]:
    if request.expression is not None:
        yield Candidate(request.expression, 0.95)


def mentioned(kind: str) -> Callable[[Slot, Request, ToolView], Iterator[Candidate]]:
    def read(slot: Slot, request: Request, _: ToolView) -> Iterator[Candidate]:
        for mention in request.mentions:
            if mention.kind == kind:
                value = (
                    f"{mention.value}T00:00:00Z"
                    if slot.schema.get("format") == "date-time"
                    else mention.value
                )
                yield Candidate(value, 0.8, mention.start, mention.end)

    return read


def currencies(_slot: Slot, request: Request, _: ToolView) -> Iterator[Candidate]:
    for word in request.words:
        if re.fullmatch(r"[A-Z]{3}", word.text):
            yield Candidate(word.text, 0.7, word.start, word.end)
        else:
            for name, code in _CURRENCIES.items():
                if word.folded in (name, f"{name}s", f"{name}es"):
                    yield Candidate(code, 0.8, word.start, word.end)
    for quantity in request.quantities:
        if quantity.unit is not None and quantity.unit.folded in ("usd", "brl", "eur", "gbp"):
            yield Candidate(quantity.unit.folded.upper(), 0.75, quantity.unit.start, quantity.unit.end)


def units(slot: Slot, request: Request, _: ToolView) -> Iterator[Candidate]:
    known = [word for example in slot.examples for word in words(example)]
    named = {word.text for word in known}
    for word in spoken_words(request):
        if word in _UNITS:
            spelt = next((example.text for example in known if same(example, word)), word.text)
            asked = any(before.folded in TO_CUES for before in request.before(word.start, 1))
            score = 0.9 if spelt in named else 0.7 if asked else 0.5
            yield Candidate(spelt, score, word.start, word.end)
