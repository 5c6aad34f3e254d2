"""A question is looked up by its telling words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha_retrieval.terms import MOST_TERMS, terms, variants


def test_common_words_of_both_languages_are_left_out() -> None:
    assert terms("How does the guard decide what to mask?") == ["guard", "decide", "mask"]
    assert terms("Como é que o orçamento é reservado?") == ["orçamento", "reservado"]


def test_a_question_of_common_words_alone_keeps_them() -> None:
    assert terms("What is it?") == ["What", "is", "it"]
    assert terms("?!") == []


def test_a_word_is_asked_for_once_however_it_is_written() -> None:
    assert terms("Ação, ação, ACAO e a\u0063\u0327a\u0303o") == ["Ação"]


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("acao", "acoes"),
        ("animal", "animais"),
        ("papel", "papeis"),
        ("viagem", "viagens"),
        ("flor", "flores"),
    ],
)
def test_a_portuguese_plural_finds_its_singular_and_back(one: str, many: str) -> None:
    assert many in variants(one)
    assert one in variants(many)


@given(st.text(max_size=2000))
def test_terms_are_words_few_and_different(query: str) -> None:
    found = terms(query)
    assert len(found) == len(set(found)) <= MOST_TERMS
