"""Comma-separated values as RFC 4180 has them, which a spreadsheet opens without running anything."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write(
    names: Sequence[str], rows: Iterable[Mapping[str, object]], to: TextIO, *, heading: bool = True
) -> None:
    """Write a line of names, unless it was written before, and one for each row, ended by CRLF."""
    writer = csv.DictWriter(to, names, lineterminator="\r\n")
    if heading:
        writer.writeheader()
    writer.writerows({name: cell(row[name]) for name in names} for row in rows)


def cell(value: object) -> object:
    """A value as a cell. A text that begins like a formula is led in by an apostrophe, which spreadsheets
    take as "this is text" (OWASP, CSV injection); numbers stay numbers, negative ones too."""
    if isinstance(value, str) and value.startswith(_BEGINS_A_FORMULA):
        return f"'{value}"
    return value
