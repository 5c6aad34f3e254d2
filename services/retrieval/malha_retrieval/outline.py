"""A Markdown document is an outline: blocks of lines, each under a path of headings.

Blocks are what a reader would not tear apart: a paragraph, a list, a table, a fenced listing. They are
spans of the document, so that nothing is rewritten and nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# of a line without blanks at its end; what closes it is looked for once in each row of blanks
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:(?<![ \t])[ \t]+#+)?$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
# however deep, and right behind a list's marks too: the line that closes it would else open another
_FENCE = re.compile(r"[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+){0,3}(`{3,}|~{3,})")
_NO_TITLE = re.compile(r" {0,3}(?:[-*+>|]|\d{1,9}[.)]|([-*_])(?:[ \t]*\1){2,})(?:\s|$)|\s*$| {4}|\t")
"""Lines that an underline does not make a heading: list items, quotes, tables, rules, code, blank ones."""

LONGEST_TITLE = 300
"""Characters of a line that may be a heading: each passage below carries it, so it must not be a book."""
_LONGEST_FRONT_MATTER = 49  # lines


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
    headings: list[tuple[int, str]] = []
    start = _front_matter(text)
    if start:
        yield Block((), "code", 0, start)
    while start < len(text):
        end = _line_end(text, start)
        line = text[start:end].rstrip()
        if not line:
            start = end
            continue
        if heading := _heading(line):
            kind = "heading"
            _enter(headings, len(heading[1]), heading[2] or "")
        elif fence := _fence(line):
            kind, end = "code", _closing(text, end, fence)
        elif level := _underlined(text, start, end):
            kind, end = "heading", _line_end(text, end)
            _enter(headings, level, line.strip())
        else:
            kind = "table" if line.lstrip().startswith("|") else "prose"
            end = _paragraph(text, end)
        yield Block(tuple(title for _, title in headings), kind, start, end)
        start = end


def paragraphs(text: str) -> Iterator[Block]:
    """Rows of lines that are not blank, in order: the blocks of a text that is no Markdown."""
    start = end = 0
    while end < len(text):
        line, end = end, _line_end(text, end)
        if text[line:end].isspace():
            if start < line:
                yield Block((), "prose", start, line)
            start = end
    if start < end:
        yield Block((), "prose", start, end)


def _line_end(text: str, start: int) -> int:
    """Where the line after the one at ``start`` begins. Lines are looked for one by one: a list of all the
    lines of a document may take a hundred times the document's memory."""
    newline = text.find("\n", start)
    return len(text) if newline < 0 else newline + 1


def _heading(line: str) -> re.Match[str] | None:
    return _HEADING.match(line) if len(line) <= LONGEST_TITLE else None


def _enter(headings: list[tuple[int, str]], level: int, title: str) -> None:
    while headings and headings[-1][0] >= level:
        headings.pop()
    headings.append((level, title))


def _front_matter(text: str) -> int:
    """Where a YAML head between two ``---`` ends; 0 where there is none."""
    if not text.startswith(("---\n", "---\r\n")):
        return 0
    end = _line_end(text, 0)
    for _ in range(_LONGEST_FRONT_MATTER):
        start, end = end, _line_end(text, end)
        if text[start:end].rstrip() in {"---", "..."}:
            return end
    return 0


def _fence(line: str) -> str:
    """The marks that open a listing; empty for any other line, such as one that begins with code in a row."""
    match = _FENCE.match(line)
    if match is None or (match[1][0] == "`" and "`" in line[match.end() :]):
        return ""
    return match[1]


def _closing(text: str, end: int, fence: str) -> int:
    """Where the line ends that closes the fence; without one it runs to the end."""
    while end < len(text):
        start, end = end, _line_end(text, end)
        line = text[start:end].strip()
        if line.startswith(fence) and not line.strip(fence[0]):
            break
    return end


def _underlined(text: str, start: int, end: int) -> int:
    """The level of a heading underlined with = or -; 0 for any other line."""
    if end - start > LONGEST_TITLE or _NO_TITLE.match(text, start, end):
        return 0
    line = text[end : _line_end(text, end)].rstrip()
    underline = _UNDERLINE.match(line) if len(line) <= LONGEST_TITLE else None
    return 0 if underline is None else 1 if underline[1][0] == "=" else 2


def _paragraph(text: str, end: int) -> int:
    """Where the paragraph ends whose first line ends at ``end``."""
    while end < len(text):
        start, end = end, _line_end(text, end)
        line = text[start:end].rstrip()
        if not line or _heading(line) or _fence(line):
            return start
    return end
