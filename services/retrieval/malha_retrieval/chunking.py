"""A passage is as much of a section as can be read at once.

Neighbouring blocks of one section share a passage up to a size; a listing or a table stays whole.
Long prose is cut between sentences, and each piece begins with the last sentence of the one before,
so that no thought is cut from what it refers to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from malha_retrieval.outline import Block, blocks, paragraphs

SIZE = 1200
"""Characters of a passage; about 300 tokens, so five of them leave a model room to think."""
OVERLAP = 200
"""Characters of the sentence before that a continued passage may repeat."""
LARGEST = 4 * SIZE
"""Characters up to which a listing or a table stays whole."""

_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?]+[\"')\]»”]*(?:\s+|$)|\n|[.!?]+|$)")


class Chunk(NamedTuple):
    """A passage: ``document[start:end]`` under ``section``, the headings joined by " > "."""

    section: str
    start: int
    end: int


def chunk_markdown(text: str) -> Iterator[Chunk]:
    """The passages of a Markdown document, in order.

    Every character that is not blank stands in a passage or is a heading in a passage's section.
    """
    return _chunks(text, blocks(text))


def chunk_plain(text: str) -> Iterator[Chunk]:
    """The passages of a text without headings: paragraphs, packed and cut by the same rules."""
    return _chunks(text, paragraphs(text))


def _chunks(text: str, outline: Iterable[Block]) -> Iterator[Chunk]:
    pending: list[Block] = []
    bare: Block | None = None  # a heading under which nothing stood yet
    for block in outline:
        if block.kind == "heading":
            yield from _packed(text, pending)
            pending = []
            if bare is not None and block.path[: len(bare.path)] != bare.path:
                yield _chunk(text, bare.path, bare.start, bare.end)
            bare = block
            continue
        bare = None
        if pending and block.end - pending[0].start > SIZE:
            yield from _packed(text, pending)
            pending = []
        pending.append(block)
    yield from _packed(text, pending)
    if bare is not None:
        yield _chunk(text, bare.path, bare.start, bare.end)


def _packed(text: str, pending: list[Block]) -> Iterator[Chunk]:
    if not pending:
        return
    first, last = pending[0], pending[-1]
    if last.end - first.start <= SIZE:
        pieces = iter([(first.start, last.end)])
    elif first.kind == "prose":
        pieces = _sentences_packed(text, first.start, first.end)
    else:
        pieces = _lines_packed(text, first.start, first.end)
    for start, end in pieces:
        chunk = _chunk(text, first.path, start, end)
        if chunk.end > start:  # a piece of blanks alone tells nothing
            yield chunk


def _sentences_packed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    opening = start  # of the passage
    done = start  # everything before stands in a passage
    before = start  # where the last sentence began
    for sentence_start, sentence_end in _sentences(text, start, end):
        if sentence_end - opening > SIZE and done > opening:
            yield opening, done
            opening = before if done - before <= OVERLAP else done
            if sentence_end - opening > SIZE:
                opening = done
        before, done = sentence_start, sentence_end
    yield opening, done


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Sentences, none longer than a passage."""
    while start < end:
        match = _SENTENCE.match(text, start, end)
        stop = match.end() if match and match.end() > start else end
        while stop - start > SIZE:
            blank = text.rfind(" ", start + SIZE // 2, start + SIZE)
            cut = blank + 1 if blank > 0 else start + SIZE
            yield start, cut
            start = cut
        yield start, stop
        start = stop


def _lines_packed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A listing or table whole, or cut between lines where it is larger than ``LARGEST``."""
    while end - start > LARGEST:
        newline = text.rfind("\n", start, start + LARGEST)
        cut = newline + 1 if newline > start else start + LARGEST
        yield start, cut
        start = cut
    yield start, end


def _chunk(text: str, path: tuple[str, ...], start: int, end: int) -> Chunk:
    while end > start and text[end - 1].isspace():
        end -= 1
    return Chunk(" > ".join(filter(None, path)), start, end)
