"""Numbers in a text, with what they count.

Both notations are read (1,234.5 and 1.234,5). Where a lone separator could be either, the
language of the text decides: "1.050" is a thousand and fifty in Portuguese, 1.05 in English.
Digits inside an identifier (H100, SKU-12) or a date are no numbers here.
"""

import re
from dataclasses import dataclass, replace
from decimal import Decimal

from malha_planner.models.offline.numerals import spoken
from malha_planner.models.offline.stems import fold
from malha_planner.models.offline.words import Word, words

_NUMBER = re.compile(
    r"(?<![\w.,/-])(?P<currency>R\$|US\$|[$€£])?\s?(?P<sign>[-−](?=[\d.]))?"
    r"(?P<digits>\d{1,3}(?:[.,\s]\d{3})+(?:[.,]\d+)?|\d+(?:[.,]\d+)?)"
    r"(?P<magnitude>\s?(?:thousand|million|billion|mil(?:h[ãa]o|h[õo]es)?|bi(?:lh[ãa]o|lh[õo]es)|[kKM](?=\b))\b)?"
    r"(?P<attached>\s?%|°\s?[CFK]?|[a-zA-Zµ]{1,4}(?![\w-]))?(?![\w]|[.,]\d|/\d|-\d|:\d)"
)
_CURRENCIES = {"$": "usd", "US$": "usd", "R$": "brl", "€": "eur", "£": "gbp"}
_SERIES = re.compile(r"\s*(?:[x×,/]|by|por|and|e|to|a|,\s*(?:and|e))\s*")
_SIGNS = {"%": "percent", "°": "degree", "°c": "celsius", "°f": "fahrenheit", "°k": "kelvin"}
_DURATIONS = frozenset(word.stem for word in words("minuto hora dia noite semana mes ano"))
_LINKS = frozenset(["of", "de", "do", "da", "dos", "das"])


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number where it stands (`end` behind its digits), and the word it counts, if one stands beside it."""

    value: Decimal
    start: int
    end: int
    unit: Word | None = None
    written: str = ""
    """The digits as they stand in the text; empty for a number written as a word."""
    in_series: bool = False
    """Whether it is one of several numbers of one unit, which then are told apart by their order alone."""

    @property
    def is_whole(self) -> bool:
        return self.value == self.value.to_integral_value()

    @property
    def is_year(self) -> bool:
        """Whether it reads as a year of our time: four bare digits with nothing that they count."""
        return len(self.written) == 4 and self.written.isdigit() and 1900 <= self.value < 2100

    @property
    def plain(self) -> int | float:
        """The value as JSON holds it."""
        return int(self.value) if self.is_whole else float(self.value)


def quantities(text: str, *, portuguese: bool) -> list[Quantity]:
    """The numbers of a text in order, written in digits or as words."""
    found = []
    for match in _NUMBER.finditer(text):
        sign = "-" if match["sign"] else ""
        value = Decimal(sign + _plain(match["digits"], portuguese=portuguese)) * _magnitude(match)
        unit = _attached(match) or _following(text, match.end())
        found.append(Quantity(value, match.start(), match.end("digits"), unit, match["digits"]))
    for number, start, end in spoken(words(text)):
        found.append(Quantity(Decimal(number), start, end, _following(text, end)))
    return _shared_units(sorted(found, key=lambda quantity: quantity.start), text)


def _shared_units(found: list[Quantity], text: str) -> list[Quantity]:
    """In "80 x 35 x 40 cm" the unit is that of all three."""
    for place in range(len(found) - 2, -1, -1):
        one, other = found[place], found[place + 1]
        joint = text[one.end : other.start]
        if other.unit is not None and _SERIES.fullmatch(joint) and not _lasts(joint, other.unit):
            found[place] = replace(one, unit=other.unit, in_series=True)
            found[place + 1] = replace(other, in_series=True)
    return found


def _lasts(joint: str, unit: Word) -> bool:
    """Whether the second of two numbers says how long the first lasts: "12 por 4 dias"."""
    return joint.strip() == "por" and unit.stem in _DURATIONS


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


def _magnitude(match: re.Match[str]) -> int:
    """A thousand for "mil", a million for "million"; letters count only behind money ("$2M", not "2 M")."""
    name = fold(match["magnitude"] or "").strip()
    if not name or (len(name) == 1 and not match["currency"]):
        return 1
    return {"t": 10**3, "k": 10**3, "m": 10**6, "b": 10**9}[name[0]] if name != "mil" else 10**3


def _attached(match: re.Match[str]) -> Word | None:
    """The unit written right at a number, before or behind it, where it stands in the text."""
    if match["attached"]:
        name = fold(match["attached"].replace(" ", ""))
        name = _SIGNS.get(name, name)
        return _unit(name, *match.span("attached"))
    if match["currency"]:
        return _unit(_CURRENCIES[match["currency"]], *match.span("currency"))
    return None


def _unit(name: str, start: int, end: int) -> Word:
    read = words(name)[0]
    return Word(read.text, read.folded, read.stem, start, end)


def _following(text: str, end: int) -> Word | None:
    """The word right behind a number; a link word ("10 de maio") or an identifier ("3 H100") is none."""
    match = re.compile(r"[\s-]*([^\W\d_]++)(?![\d_])").match(text, end, end + 40)
    if match is None:
        return None
    word = words(match.group(1))[0]
    return None if word.folded in _LINKS else Word(word.text, word.folded, word.stem, *match.span(1))
