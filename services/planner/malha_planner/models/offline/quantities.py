"""Numbers in a text, with what they count.

Both notations are read (1,234.5 and 1.234,5). Where a lone separator could be either, the
language of the text decides: "1.050" is a thousand and fifty in Portuguese, 1.05 in English.
Digits inside an identifier (H100, SKU-12) or a date are no numbers here.
"""

import re
from dataclasses import dataclass
from decimal import Decimal

from malha_planner.models.offline.words import Word, fold, words

_NUMBER = re.compile(
    r"(?<![\w.,/-])(?P<currency>R\$|US\$|[$€£])?\s?(?P<sign>[-−](?=[\d.]))?"
    r"(?P<digits>\d{1,3}(?:[.,\s]\d{3})+(?:[.,]\d+)?|\d+(?:[.,]\d+)?)"
    r"(?P<attached>\s?%|°\s?[CFK]?|[a-zA-Zµ]{1,4}(?![\w-]))?(?![\w]|[.,]\d|/\d|-\d|:\d)"
)
_SMALL = {
    **{
        w: i
        for i, w in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"])
    },
    **dict(um=1, uma=1, dois=2, duas=2, tres=3, quatro=4, cinco=5, seis=6, sete=7, oito=8, nove=9, dez=10),
    **dict(onze=11, doze=12, quinze=15, vinte=20, trinta=30, quarenta=40, cinquenta=50, cem=100, mil=1000),
    **dict(fifteen=15, twenty=20, thirty=30, forty=40, fifty=50, sixty=60, hundred=100, thousand=1000),
    **dict(dozen=12, duzia=12, couple=2),
}
# "one" and "um" are articles and pronouns far more often than counts.
_ARTICLES = frozenset({"one", "um", "uma"})
_CURRENCIES = {"$": "usd", "US$": "usd", "R$": "brl", "€": "eur", "£": "gbp"}
_LINKS = frozenset(["of", "de", "do", "da", "dos", "das"])


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number where it stands; `unit` holds the word it counts, if one stands beside it."""

    value: Decimal
    start: int
    end: int
    unit: Word | None = None
    written: str = ""
    """The digits as they stand in the text; empty for a number written as a word."""

    @property
    def is_whole(self) -> bool:
        return self.value == self.value.to_integral_value()

    @property
    def plain(self) -> int | float:
        """The value as JSON holds it."""
        return int(self.value) if self.is_whole else float(self.value)


def quantities(text: str, *, portuguese: bool) -> list[Quantity]:
    """The numbers of a text in order, written in digits or as words."""
    found = []
    for match in _NUMBER.finditer(text):
        sign = "-" if match["sign"] else ""
        value = Decimal(sign + _plain(match["digits"], portuguese=portuguese))
        unit = _attached(match["attached"]) or (
            words(_CURRENCIES[match["currency"]])[0] if match["currency"] else None
        )
        end = match.end()
        if unit is None:
            unit, end = _following(text, match.end())
        found.append(Quantity(value, match.start(), end, unit, match["digits"]))
    for word in words(text):
        if word.folded in _SMALL and word.folded not in _ARTICLES:
            unit, _ = _following(text, word.end)
            found.append(Quantity(Decimal(_SMALL[word.folded]), word.start, word.end, unit))
    return sorted(found, key=lambda quantity: quantity.start)


def _plain(digits: str, *, portuguese: bool) -> str:
    digits = re.sub(r"\s", "", digits)
    dot, comma = digits.rfind("."), digits.rfind(",")
    if dot >= 0 and comma >= 0:
        decimal = "." if dot > comma else ","
    elif digits.count(".") > 1 or digits.count(",") > 1:
        decimal = ""
    elif dot < 0 and comma < 0:
        return digits
    else:
        mark = "." if dot >= 0 else ","
        whole, _, rest = digits.partition(mark)
        groups = len(rest) == 3 and whole != "0" and len(whole) <= 3
        decimal = "" if groups and (mark == ".") == portuguese else mark
    thousands = {".": ",", ",": "."}.get(decimal, ".,")
    for mark in thousands:
        digits = digits.replace(mark, "")
    return digits.replace(decimal, ".") if decimal else digits


def _attached(unit: str | None) -> Word | None:
    if not unit:
        return None
    name = fold(unit.strip())
    name = {"%": "percent", "°": "degree", "°c": "celsius", "°f": "fahrenheit", "°k": "kelvin"}.get(
        name.replace(" ", ""), name
    )
    return words(name)[0]


def _following(text: str, end: int) -> tuple[Word | None, int]:
    """The word right behind a number, through at most one link word ("10 de maio" counts as none)."""
    tail = text[end : end + 40]
    match = re.match(r"[\s-]*([^\W\d_]+)", tail)
    if match is None:
        return None, end
    word = words(match.group(1))[0]
    return (None, end) if word.folded in _LINKS else (word, end)
