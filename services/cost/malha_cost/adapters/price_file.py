"""Prices from YAML files: the bundled one, and the operator's, whose rows win.

Amounts are quoted dollars per million tokens, as providers print them; they are read as decimals,
never as floats, and refused where they are not a whole number of micro-dollars per billion tokens. A file
is read whole or not at all: a row that is half understood would be a price that nobody set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation
from pathlib import Path
from typing import Any

from malha import strict_yaml
from malha.errors import ConfigurationError
from malha_cost.prices import ANY, Band, Price, PriceTable, Rates

BUNDLED = Path(__file__).parent.parent / "prices.yaml"

_PER_BILLION = 1_000_000_000  # a dollar per million tokens is so many micro-dollars per billion
_EXACT = Context(traps=[Inexact, InvalidOperation])
"""In which a product that would have to be rounded, to nothing or to a round price, is an error."""
_MOST_USD = 1_000_000
_MOST_TOKENS = 100_000_000
_TABLE = {"source", "retrieved", "urls", "prices"}
_AMOUNTS = {"input", "cached_input", "output"}
_BATCH = _AMOUNTS | {"above"}
_ROW = _BATCH | {
    "provider",
    "model",
    "also",
    "from",
    "batch",
    "reasons",
    "free",
    "source",
    "retrieved",
    "url",
}


class PriceFileError(ConfigurationError):
    """A price file that cannot be trusted; says the file, the row and the field."""


def load(*paths: Path) -> PriceTable:
    """The prices of the files. From the first day of a model's price in a later file, earlier files' hold no
    more: also not those that begin after it, or a contract would end when a list price changes.

    Raises:
        PriceFileError: a file is not readable as prices.
    """
    kept: list[Price] = []
    for path in paths:
        own = _read(path)
        first: dict[tuple[str, str], date] = {}
        for price in own:
            name = price.provider, price.model
            first[name] = min(price.effective_from, first.get(name, date.max))
        kept = [old for old in kept if old.effective_from < first.get((old.provider, old.model), date.max)]
        kept += own
    return PriceTable(kept)


def _read(path: Path) -> list[Price]:
    try:
        table = strict_yaml.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        raise PriceFileError(f"{path.name} cannot be read: {error}") from error
    except strict_yaml.NotYamlError as error:
        raise PriceFileError(f"{path.name} is no YAML: {error}") from error
    try:
        _known(table, _TABLE)
        rows = table.get("prices")
        if not isinstance(rows, list):
            raise ValueError("prices: is a list of rows")
        common = {
            "source": _text(table, "source"),
            "retrieved": _date(table, "retrieved"),
            "urls": _urls(table),
        }
    except ValueError as error:
        raise PriceFileError(f"{path.name}, {error}") from error
    found: dict[tuple[str, str, date], Price] = {}
    for number, row in enumerate(rows, start=1):
        try:
            for price in _prices(row, common):
                if found.setdefault((price.provider, price.model, price.effective_from), price) is not price:
                    raise ValueError(f"model: {price.row} has a row already")
        except ValueError as error:
            raise PriceFileError(f"{path.name}, price {number}{_called(row)}, {error}") from error
    return list(found.values())


def _prices(row: object, common: Mapping[str, Any]) -> Iterator[Price]:
    row = _known(row, _ROW)
    provider, model = _text(row, "provider"), _text(row, "model")
    if provider == ANY and model != ANY:
        raise ValueError(f'provider: is "{ANY}" only where the model is, for all that no row names')
    also = row.get("also", [])
    if not isinstance(also, list) or not all(isinstance(name, str) and name for name in also):
        raise ValueError("also: is a list of further names of the model")
    rates = _rates(row)
    batch = _rates(_known(row["batch"], _BATCH, "batch: ")) if "batch" in row else None
    _meant(rates, batch, free=_flag(row, "free"), unknown=provider == ANY)
    for name in (model, *also):
        yield Price(
            provider,
            name,
            _date(row, "from") or date.min,
            rates,
            _text(row, "source") if "source" in row else common["source"],
            batch=batch,
            reasons=_flag(row, "reasons"),
            url=_text(row, "url") if "url" in row else common["urls"].get(provider, ""),
            retrieved=_date(row, "retrieved") or common["retrieved"],
        )


def _meant(rates: Rates, batch: Rates | None, *, free: bool, unknown: bool) -> None:
    """Refuse a zero that nobody said was meant, anywhere in the row."""
    if free and not rates.free:
        raise ValueError("free: is true, and the tokens cost something")
    if free and unknown:
        raise ValueError("free: a model that nobody knows is not free")
    if not free and any(not any(band[1:]) for each in (rates, batch) if each for band in each.by_length):
        raise ValueError("input: nothing costs anything; where that is meant, write free: true")


def _rates(row: Mapping[str, Any]) -> Rates:
    above = row.get("above", {})
    if not isinstance(above, dict):
        raise ValueError("above: says the rates of longer inputs by their length in tokens")
    bands = []
    for length, longer in sorted(above.items(), key=lambda band: str(band[0]).zfill(9)):
        if type(length) is not int or not 0 < length <= _MOST_TOKENS:
            raise ValueError(f"above: {length!r} is no number of tokens")
        bands.append(Band(length, *_three(_known(longer, _AMOUNTS, f"above {length}: "))))
    return Rates(*_three(row), tuple(bands))


def _three(row: Mapping[str, Any]) -> tuple[int, int, int]:
    first = _rate(row, "input")
    return first, _rate(row, "cached_input") if "cached_input" in row else first, _rate(row, "output")


def _rate(row: Mapping[str, Any], field: str) -> int:
    dollars = row.get(field)
    if dollars is None:
        raise ValueError(f"{field}: is missing")
    if isinstance(dollars, bool) or not isinstance(dollars, str | int):
        raise ValueError(f"{field}: write the amount {dollars} in quotes: a float would round it")
    try:
        rate = _EXACT.multiply(Decimal(dollars), Decimal(_PER_BILLION))
        whole = 0 <= rate <= _MOST_USD * _PER_BILLION and rate == int(rate)
    except DecimalException:
        whole = False
    if not whole:
        raise ValueError(f"{field}: {dollars} is not an amount of dollars per million tokens")
    return int(rate)


def _known(row: object, fields: set[str], of: str = "") -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ValueError(f"{of}is no mapping of fields")
    if unknown := set(map(str, row)) - fields:
        raise ValueError(
            f"{of}{', '.join(sorted(unknown))}: unknown; the fields are {', '.join(sorted(fields))}"
        )
    return row


def _text(row: Mapping[str, Any], field: str) -> str:
    text = row.get(field)
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{field}: is a text")
    return text


def _urls(table: Mapping[str, Any]) -> dict[str, str]:
    urls = table.get("urls", {})
    if not isinstance(urls, dict):
        raise ValueError("urls: says the page of prices by provider")
    return {provider: _text(urls, provider) for provider in urls}


def _date(row: Mapping[str, Any], field: str) -> date | None:
    day = row.get(field)
    if day is not None and type(day) is not date:  # a time of the day is a date, too
        raise ValueError(f"{field}: is a date, YYYY-MM-DD")
    return day


def _flag(row: Mapping[str, Any], field: str) -> bool:
    flag = row.get(field, False)
    if not isinstance(flag, bool):
        raise ValueError(f"{field}: is true or false")
    return flag


def _called(row: object) -> str:
    return f" ({row.get('provider')}/{row.get('model')})" if isinstance(row, dict) else ""
