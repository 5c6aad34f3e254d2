"""No valid card, CPF or CNPJ survives masking, in whatever text it stands."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from malha.api.guard.v1.guard_service_pb2 import Stage
from malha_guard import identifiers
from malha_guard.adapters.policy_files import PolicyFile
from malha_guard.check_digits import is_card, is_cnpj, is_cpf
from malha_guard.judge import judge
from malha_guard.reading import Reading

POLICY = PolicyFile().policy
GLUE = st.sampled_from(["", " ", "\n", ", ", "; ", " – ", ": ", "(", ")", '"', " é ", " n.º ", "|"])
NOISE = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30)


def luhn(base: str) -> str:
    return next(base + d for d in "0123456789" if is_card(base + d))


@st.composite
def cards(draw: st.DrawFn) -> str:
    number = luhn("4" + draw(st.text("0123456789", min_size=14, max_size=14)))
    separator = draw(st.sampled_from(["", " ", "-", ".", "\u00a0", " - ", " \u2013 "]))
    return separator.join(number[i : i + 4] for i in range(0, 16, 4))


@st.composite
def cpfs(draw: st.DrawFn) -> str:
    base = draw(st.text("0123456789", min_size=9, max_size=9))
    assume(len(set(base)) > 1)
    number = next(f"{base}{n:02}" for n in range(100) if is_cpf(f"{base}{n:02}"))
    return draw(st.sampled_from([number, f"{number[:3]}.{number[3:6]}.{number[6:9]}-{number[9:]}"]))


@st.composite
def cnpjs(draw: st.DrawFn) -> str:
    base = draw(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=12, max_size=12))
    assume(len(set(base)) > 1)
    n = next(f"{base}{n:02}" for n in range(100) if is_cnpj(f"{base}{n:02}"))
    return draw(st.sampled_from([n, f"{n[:2]}.{n[2:5]}.{n[5:8]}/{n[8:12]}-{n[12:]}"]))


def remaining(text: str) -> list[str]:
    """What a thief would still find, by a search that shares nothing with the guard's."""
    found = []
    for match in re.finditer(r"(?<![^\W_])(?<!\d\.)[0-9A-Z](?:[ .\-/\u00a0]?[0-9A-Z])*(?![^\W_])", text):
        bare = re.sub(r"[ .\-/\u00a0]", "", match.group())
        grouped = re.fullmatch(r"\d{4}(?:[ .\u00a0-]?\d{4}){3}", match.group())
        if (grouped and is_card(bare)) or (is_cpf(bare) if bare.isdigit() else False) or is_cnpj(bare):
            found.append(match.group())
    return found


@given(NOISE, GLUE, st.one_of(cards(), cpfs(), cnpjs()), GLUE, NOISE)
def test_masking_leaves_no_valid_number_in_any_text(
    before: str, glue: str, number: str, other: str, after: str
) -> None:
    text = f"{before}{glue or ' '}{number}{other or ' '}{after}"
    for stage in (Stage.STAGE_INPUT, Stage.STAGE_TOOL_RESULT, Stage.STAGE_OUTPUT):
        masked = judge(POLICY, stage, text).text
        assert number not in masked
        assert not remaining(masked)


@given(st.lists(st.one_of(cards(), cpfs(), cnpjs()), min_size=2, max_size=4))
def test_numbers_in_a_row_are_all_found(numbers: list[str]) -> None:
    masked = judge(POLICY, Stage.STAGE_OUTPUT, " ".join(numbers)).text
    assert not any(number in masked for number in numbers)


@given(NOISE)
def test_masking_twice_changes_nothing_more(text: str) -> None:
    once = judge(POLICY, Stage.STAGE_OUTPUT, text).text
    assert judge(POLICY, Stage.STAGE_OUTPUT, once).text == once


@pytest.mark.parametrize(
    "text",
    [
        "CPF 529.982.247-26",
        "CNPJ 11.222.333/0001-82",
        "4111 1111 1111 1112",
        "the ratio is 0.4111111111111111",
        "sha 4111111111111111abcdef",
        "id a4111111111111111",
        "between 2019 and 2024: 4000 5100 6200 7300 8400",
        "1700000000000 ms since the epoch",
    ],
)
def test_what_only_looks_like_a_number_of_someone_stays(text: str) -> None:
    assert judge(POLICY, Stage.STAGE_OUTPUT, text).text == text


@pytest.mark.parametrize(
    "disguised",
    [
        "４１１１ １１１１ １１１１ １１１１",
        "4111\u200b1111\u200b1111\u200b1111",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    ],
)
def test_a_card_in_disguise_is_masked(disguised: str) -> None:
    masked = judge(POLICY, Stage.STAGE_OUTPUT, f"card {disguised}!").text
    assert masked == "card [CARD]!"


def test_the_work_of_a_hostile_row_of_digits_grows_as_the_row_does(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = 0

    class Counting(dict[tuple[int, ...], list[identifiers.Check]]):
        def __contains__(self, key: object) -> bool:
            nonlocal tried
            tried += 1
            return super().__contains__(key)

    monkeypatch.setattr(identifiers, "_SHAPES", Counting(identifiers._SHAPES))
    work = []
    for length in (2_000, 4_000):
        tried = 0
        list(identifiers.find_identifiers(Reading("1 " * length)))
        work.append(tried)
    assert work[1] < 2.1 * work[0]


def test_a_long_row_of_digits_does_not_keep_the_guard_busy_for_seconds() -> None:
    began = time.process_time()
    list(identifiers.find_identifiers(Reading("1 " * 120_000)))
    assert time.process_time() - began < 8  # where it grows as the square, 20 s and more
