"""A Markdown document is an outline: blocks of lines, each under a path of headings.

Blocks are what a reader would not tear apart: a paragraph, a list, a table, a fenced listing. They are
spans of the document, so that nothing is rewritten and nothing is lost.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from typing import NamedTuple

# of a line without blanks at its end; what closes it is looked for once in each row of blanks
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:(?<![ \t])[ \t]+#+)?$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
# however deep: listings stand in lists too; ```so``` is a word of prose
_FENCE = re.compile(r"[ \t]*(`{3,}+(?!.*`)|~{3,})")
_NO_TITLE = re.compile(r" {0,3}(?:[-*+>|]|\d{1,9}[.)])(?:\s|$)|\s*$| {4}|\t")
"""Lines that an underline does not make a heading: list items, quotes, tables, code, blank ones."""

LONGEST_TITLE = 300
"""Characters of a line that may be a heading: each passage below carries it, so it must not be a book."""


class Block(NamedTuple):
    """Lines that belong together.

    ``path`` are the headings above, the outermost first. ``kind`` is "prose", "table", "code", or
    "heading" for a heading line itself, whose path ends with it. ``start`` and ``end`` are character
    offsets in the document.
    """

    path: tuple[str, ...]
    kind: str
    start: int
    end: int


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a Markdown text, in order; blank lines between them belong to none."""
    lines = _Lines(text)
    headings: list[tuple[int, str]] = []
    number = _front_matter(text, lines)
    if number:
        yield Block((), "code", 0, lines[number - 1][1])
    while number < len(lines):
        start, end = lines[number]
        line = text[start:end].rstrip()
        if not line:
            number += 1
            continue
        path = tuple(title for _, title in headings)
        if heading := _heading(line):
            _enter(headings, len(heading[1]), heading[2] or "")
            yield Block(tuple(title for _, title in headings), "heading", start, end)
            number += 1
        elif fence := _FENCE.match(line):
            number = _closing(text, lines, number, fence[1])
            yield Block(path, "code", start, lines[number - 1][1])
        elif level := _underlined(text, lines, number):
            _enter(headings, level, line.strip())
            yield Block(tuple(title for _, title in headings), "heading", start, lines[number + 1][1])
            number += 2
        else:
            number = _paragraph(text, lines, number)
            kind = "table" if line.lstrip().startswith("|") else "prose"
            yield Block(path, kind, start, lines[number - 1][1])


class _Lines:
    """Where each line starts and ends, its break included. In a few bytes a line, for a document may be
    nothing but line breaks."""

    def __init__(self, text: str) -> None:
        self._starts = array("L", [0])
        self._starts.extend(match.end() for match in re.finditer("\n", text))
        if self._starts[-1] < len(text):
            self._starts.append(len(text))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> tuple[int, int]:
        return self._starts[number], self._starts[number + 1]


def _heading(line: str) -> re.Match[str] | None:
    return _HEADING.match(line) if len(line) <= LONGEST_TITLE else None


def _enter(headings: list[tuple[int, str]], level: int, title: str) -> None:
    while headings and headings[-1][0] >= level:
        headings.pop()
    headings.append((level, title))


def _front_matter(text: str, lines: _Lines) -> int:
    """How many lines a YAML head between two ``---`` takes; 0 where there is none."""
    if not text.startswith("---\n"):
        return 0
    for number in range(1, min(len(lines), 50)):
        if text[slice(*lines[number])].rstrip() in {"---", "..."}:
            return number + 1
    return 0


def _closing(text: str, lines: _Lines, number: int, fence: str) -> int:
    """The number after the line that closes the fence; without one it runs to the end."""
    for following in range(number + 1, len(lines)):
        line = text[slice(*lines[following])].strip()
        if line.startswith(fence) and not line.strip(fence[0]):
            return following + 1
    return len(lines)


def _underlined(text: str, lines: _Lines, number: int) -> int:
    """The level of a heading underlined with = or -; 0 for any other line."""
    start, end = lines[number]
    if number + 1 >= len(lines) or end - start > LONGEST_TITLE or _NO_TITLE.match(text, start, end):
        return 0
    underline = _UNDERLINE.match(text[slice(*lines[number + 1])].rstrip())
    return 0 if underline is None else 1 if underline[1][0] == "=" else 2


def _paragraph(text: str, lines: _Lines, number: int) -> int:
    """The number after the paragraph's last line."""
    for following in range(number + 1, len(lines)):
        line = text[slice(*lines[following])].rstrip()
        if not line or _heading(line) or _FENCE.match(line):
            return following
    return len(lines)
