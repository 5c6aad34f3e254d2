"""Prices from YAML files: the bundled one, and the operator's, whose rows win.

Amounts are quoted dollars per million tokens, as providers print them; they are read as decimals,
never as floats, and refused where they are not a whole number of micro-dollars per billion tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml

from malha.errors import ConfigurationError
from malha_cost.prices import Price, PriceTable, Rates

BUNDLED = Path(__file__).parent.parent / "prices.yaml"

_PER_BILLION = 1_000_000_000  # a dollar per million tokens is so many micro-dollars per billion
_MOST_USD = 1_000_000
_FIELDS = {"provider", "model", "also", "from", "input", "cached_input", "output"}


class PriceFileError(ConfigurationError):
    """A price file that cannot be trusted; says the file and the row."""


def load(*paths: Path) -> PriceTable:
    """The prices of the files, later files over earlier ones.

    Raises:
        PriceFileError: a file is not readable as prices.
    """
    return PriceTable(price for path in paths for price in _read(path))


def _read(path: Path) -> Iterator[Price]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        source, rows = str(document["source"]), list(document["prices"])
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise PriceFileError(f"{path.name}: needs 'source' and a list 'prices': {error}") from error
    for number, row in enumerate(rows, start=1):
        try:
            yield from _prices(row, source)
        except (KeyError, TypeError, ValueError, InvalidOperation) as error:
            raise PriceFileError(f"{path.name}, price {number}: {error}") from error


def _prices(row: dict[str, Any], source: str) -> Iterator[Price]:
    if unknown := set(row) - _FIELDS:
        raise ValueError(f"unknown fields {', '.join(sorted(unknown))}")
    start = row.get("from", date.min)
    if not isinstance(start, date):
        raise ValueError("'from' is a date, YYYY-MM-DD")
    rates = Rates(
        input=_rate(row["input"]),
        cached_input=_rate(row.get("cached_input", row["input"])),
        output=_rate(row["output"]),
    )
    for model in (row["model"], *row.get("also", ())):
        yield Price(str(row["provider"]), str(model), start, rates, source)


def _rate(dollars: object) -> int:
    if not isinstance(dollars, str | int):
        raise ValueError(f"write the amount {dollars} in quotes: a float would round it")
    rate = Decimal(dollars) * _PER_BILLION
    if not 0 <= rate <= _MOST_USD * _PER_BILLION or rate != int(rate):
        raise ValueError(f"{dollars} is not an amount of dollars per million tokens")
    return int(rate)
