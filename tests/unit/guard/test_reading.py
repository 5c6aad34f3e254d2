"""A reading folds disguises and knows where each character came from."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha_guard.reading import Reading


@given(st.text(alphabet=st.characters(codec="ascii")))
def test_plain_ascii_reads_as_it_is_written(text: str) -> None:
    assert Reading(text).plain == text


@given(st.text(), st.text(string.ascii_letters, min_size=1, max_size=20), st.text())
def test_a_word_is_found_where_it_stands_whatever_is_around_it(before: str, word: str, after: str) -> None:
    reading = Reading(before + word + after)
    start = len(Reading(before).plain)
    assert reading.plain[start : start + len(word)] == word
    written_start, written_end = reading.span(start, start + len(word))
    assert reading.written[written_start:written_end] == word


@given(st.text())
def test_lower_case_keeps_every_offset(text: str) -> None:
    reading = Reading(text)
    assert len(reading.lower) == len(reading.plain)


def test_a_span_covers_the_joints_inside_it() -> None:
    reading = Reading("x i\u200bg\u0301n y")
    assert reading.plain == "x ign y"
    assert reading.written[slice(*reading.span(2, 5))] == "i\u200bg\u0301n"


@pytest.mark.parametrize("written", ["ɪɢɴᴏʀᴇ", "🅸🅶🅽🅾🆁🅴", "🅘🅖🅝🅞🅡🅔", "ⓘⓖⓝⓞⓡⓔ", "𝕚𝕘𝕟𝕠𝕣𝕖", "іgnоrе"])
def test_letters_that_look_alike_read_alike(written: str) -> None:
    assert Reading(written).lower == "ignore"


@given(st.text(st.characters(categories=["Nd"]), min_size=1))
def test_digits_of_any_script_read_as_their_values(written: str) -> None:
    assert [int(c) for c in Reading(written).plain] == [int(c) for c in written]
    assert Reading(written).plain.isascii()
