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

# C0 but for tab and line feed, DEL, C1, and the embeddings, overrides and isolates of Unicode
_ORDERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Terminal(Console):
    """A console in whose texts control characters are shown and not obeyed."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=shown(segment.text))


def shown(text: str) -> str:
    """The text with a replacement character for each that gives orders to a terminal."""
    return _ORDERS.sub("\N{REPLACEMENT CHARACTER}", text)
