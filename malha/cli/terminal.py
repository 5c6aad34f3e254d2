"""A terminal that shows what others wrote, and lets none of it give orders.

Answers, tool calls and names come from models, pages and tenants. A control character in them would move
the cursor, hide lines or change the clipboard, and a mark of direction would turn an amount or a name round
before the eyes of whoever approves it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

# C0 but for tab and line feed, DEL, C1, and the embeddings, overrides and isolates of Unicode
_ORDERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

_NAME, _BETWEEN = 20, 3
"""Of a table: the most that a column that wraps needs, and what lies between columns."""


class Terminal(Console):
    """A console in whose texts control characters are shown and not obeyed."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=shown(segment.text))


def whole(console: Console, table: Table) -> None:
    """Print a table of which nothing is cut. Columns that wrap go on in the next line; those that do not are
    kept whole, if need be wider than the terminal: half of an amount is another amount."""
    for column in table.columns:
        column.overflow = "fold"
        longest = max(len(str(cell)) for cell in (column.header, *column.cells))
        column.min_width = longest if column.no_wrap else min(longest, _NAME)
    least = sum((column.min_width or 0) + _BETWEEN for column in table.columns) + 1
    table.width = least if least > console.width else None
    console.print(table, crop=False)


def shown(text: str) -> str:
    """The text with a replacement character for each that gives orders to a terminal."""
    return _ORDERS.sub("\N{REPLACEMENT CHARACTER}", text)
