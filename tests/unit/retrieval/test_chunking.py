"""Passages follow the document's own structure and lose nothing of it."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha_retrieval.chunking import LARGEST, OVERLAP, SIZE, Chunk, chunk_markdown, chunk_plain
from malha_retrieval.outline import LONGEST_TITLE

SENTENCE = "The reservation is made before the money is spent. "


def sections(text: str) -> list[tuple[str, str]]:
    return [(chunk.section, text[chunk.start : chunk.end]) for chunk in chunk_markdown(text)]


def test_a_section_is_the_path_of_headings_above_a_passage() -> None:
    text = """Opening words.

# Malha

What it is.

## Budgets

How money is kept.

### Reservation ###

Before it is spent.

## Runs

How they survive.

Money
=====

Another top.

Cents
-----

Small.
"""
    assert sections(text) == [
        ("", "Opening words."),
        ("Malha", "What it is."),
        ("Malha > Budgets", "How money is kept."),
        ("Malha > Budgets > Reservation", "Before it is spent."),
        ("Malha > Runs", "How they survive."),
        ("Money", "Another top."),
        ("Money > Cents", "Small."),
    ]


def test_a_skipped_level_is_not_invented() -> None:
    assert sections("# A\n\n### C\n\nx\n\n## B\n\ny\n") == [("A > C", "x"), ("A > B", "y")]


def test_what_looks_like_a_heading_in_a_listing_is_none() -> None:
    text = "# Shell\n\n```sh\n# not a heading\n\nmake demo\n```\n\nafter\n"
    assert sections(text) == [("Shell", "```sh\n# not a heading\n\nmake demo\n```\n\nafter")]


@pytest.mark.parametrize("line", ["#hashtag", "####### seven", "    # indented code", "a # b"])
def test_what_is_no_heading_stays_text(line: str) -> None:
    assert sections(f"# H\n\n{line}\n") == [("H", line.strip() if line.startswith("#") else line)]


@pytest.mark.parametrize("above", ["- item", "| a | b |", "> quote", "1. item", "---", "***", "_ _ _", ""])
def test_a_rule_below_a_list_a_table_or_a_rule_makes_no_heading(above: str) -> None:
    assert {section for section, _ in sections(f"# H\n\n{above}\n---\nafter\n")} == {"H"}


@pytest.mark.parametrize("mark", ["- ", "  * ", "1. ", "10) - "])
def test_a_listing_behind_the_mark_of_a_list_ends_where_it_is_closed(mark: str) -> None:
    indent = " " * len(mark)
    listing = f"{mark}```sh\n{indent}# not a heading\n{indent}```"
    assert sections(f"# Steps\n\n{listing}\n\n## After\n\nDone.\n") == [
        ("Steps", listing),
        ("Steps > After", "Done."),
    ]


def test_code_within_a_line_opens_no_listing() -> None:
    text = "# Start\n\n```make demo``` shows it.\n\n## Stop\n\nPress Ctrl-C.\n"
    assert sections(text) == [
        ("Start", "```make demo``` shows it."),
        ("Start > Stop", "Press Ctrl-C."),
    ]


def test_a_listing_is_whole_even_above_the_size_of_a_passage() -> None:
    listing = "```\n" + "x = 1\n" * (SIZE // 4) + "```"
    assert SIZE < len(listing) < LARGEST
    assert ("L", listing) in sections(f"# L\n\nbefore\n\n{listing}\n\nafter\n")


def test_a_table_is_whole_even_above_the_size_of_a_passage() -> None:
    table = "| a | b |\n|---|---|\n" + "\n".join(f"| {n} | {n * n} |" for n in range(120))
    assert SIZE < len(table) < LARGEST
    assert ("T", table) in sections(f"# T\n\n{SENTENCE * 20}\n\n{table}\n")


def test_long_prose_is_cut_between_sentences_with_an_overlap() -> None:
    prose = "".join(f"Sentence number {n} tells of something else. " for n in range(100)).strip()
    pieces = [piece for _, piece in sections(f"# P\n\n{prose}\n")]
    assert len(pieces) > 3
    for piece, following in itertools.pairwise(pieces):
        assert len(piece) <= SIZE
        assert piece.endswith(".")
        first = following[: following.index(".") + 1]
        assert first in piece[-OVERLAP:]


def test_short_paragraphs_of_one_section_share_a_passage() -> None:
    text = "# S\n\n" + "\n\n".join(["A short paragraph."] * 5) + "\n"
    assert len(sections(text)) == 1


def test_a_heading_without_words_below_is_found_by_itself() -> None:
    assert sections("# A\n\n## B\n\n# C\n\nx\n") == [("A > B", "## B"), ("C", "x")]
    assert sections("# Only\n") == [("Only", "# Only")]


def test_a_sentence_without_end_is_cut_between_words() -> None:
    pieces = [piece for _, piece in sections("# W\n\n" + "word " * 1000)]
    assert all(len(piece) <= SIZE for piece in pieces)
    assert all(piece.startswith("word") and piece.endswith("word") for piece in pieces)


@pytest.mark.parametrize("underline", ["", "\n---"])
def test_a_line_too_long_for_a_title_is_not_repeated_with_every_passage_below_it(underline: str) -> None:
    line = "t" * (LONGEST_TITLE + 1)
    text = f"# H\n\n{'' if underline else '# '}{line}{underline}\n\n" + f"{SENTENCE * 20}\n\n" * 5
    found = sections(text)
    assert {section for section, _ in found} == {"H"}
    assert line in found[0][1]


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(" " * 60_000 + "\nx", id="a blank line"),
        pytest.param("# a" + " " * 60_000 + "b", id="blanks in a heading"),
        pytest.param("# a" + " #" * 30_000 + " b", id="a heading that is closed again and again"),
        pytest.param("- " * 500_000 + "```", id="a line of list marks"),
        pytest.param("\n".join(["# a" + " " * 200 + "b"] * 300), id="many such headings"),
    ],
)
@pytest.mark.parametrize("chunk", [chunk_markdown, chunk_plain])
def test_the_work_of_a_hostile_document_grows_as_the_document_does(
    chunk: Callable[[str], Iterator[Chunk]], hostile: str
) -> None:
    began = time.process_time()
    list(chunk(hostile))
    assert time.process_time() - began < 2  # where it grows as the square, ten times that


@pytest.mark.parametrize("hostile", ["\n" * 500_000 + "x", "a\n" * 250_000, "# a\n" * 125_000])
@pytest.mark.parametrize("chunk", [chunk_markdown, chunk_plain])
def test_a_document_of_many_lines_takes_no_more_memory_than_one_of_few(
    chunk: Callable[[str], Iterator[Chunk]], hostile: str
) -> None:
    tracemalloc.start()
    try:
        for _ in chunk(hostile):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(hostile)


LINES = [
    "# A",
    "## B",
    "### C d",
    "#",
    "word",
    "```",
    "~~~",
    "- x",
    "> q",
    "---",
    "===",
    "    code",
    "\ttab",
    "a.b",
    "¿Qué?",
    "1. one",
    "```code``` in a row",
    "- ```",
    "\r",
    "",
    "",
]
TABLE = ["| a | b |", "|---|---|"]
LONG = [SENTENCE * 8, "x" * 1500, "é" * 700, "a." + " " * 3000 + "b", "\n" * 6000, "=" * 5000]
PIECES = st.sampled_from([*LINES, *TABLE, *LONG])


def uncovered(text: str, chunks: list[Chunk]) -> str:
    covered = bytearray(len(text))
    for chunk in chunks:
        covered[chunk.start : chunk.end] = b"\1" * (chunk.end - chunk.start)
    return "".join(c for c, seen in zip(text, covered, strict=True) if not seen)


@given(st.lists(PIECES, max_size=25).map("\n".join))
def test_no_text_is_lost_from_markdown(text: str) -> None:
    chunks = list(chunk_markdown(text))
    headings = " > ".join(chunk.section for chunk in chunks)
    for line in uncovered(text, chunks).split("\n"):
        # what stands in no passage is a heading, and stands in a section
        assert line.strip(" #\t\r=-") in headings


@given(st.text(st.sampled_from("ab .\n!?é\t "), max_size=4000))
def test_no_text_is_lost_from_plain_text(text: str) -> None:
    assert uncovered(text, list(chunk_plain(text))).strip() == ""


@given(st.lists(PIECES, max_size=25).map("\n".join))
def test_no_passage_is_empty_and_their_order_is_the_documents(text: str) -> None:
    chunks = list(chunk_markdown(text))
    assert all(text[chunk.start : chunk.end].strip() for chunk in chunks)
    assert [chunk.start for chunk in chunks] == sorted(chunk.start for chunk in chunks)
    assert all(chunk.end - chunk.start <= LARGEST for chunk in chunks)
