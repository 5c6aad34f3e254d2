"""Check digits by rules written a second time, and by numbers that their issuers published."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha_guard.check_digits import is_card, is_cnpj, is_cpf

digits = st.text("0123456789", min_size=9, max_size=9)


@pytest.mark.parametrize(
    "number",
    ["4111111111111111", "5555555555554444", "378282246310005", "6011111111111117", "3530111333300000"],
)
def test_the_test_cards_of_the_networks_are_cards(number: str) -> None:
    assert is_card(number)


def test_every_changed_digit_of_a_card_is_noticed() -> None:
    number = "4111111111111111"
    for at in range(1, len(number)):
        for digit in set("0123456789") - {number[at]}:
            assert not is_card(number[:at] + digit + number[at + 1 :])


@given(digits)
def test_exactly_one_pair_of_check_digits_makes_a_cpf(base: str) -> None:
    pairs = [f"{n:02}" for n in range(100) if is_cpf(f"{base}{n:02}")]
    assert len(pairs) == (0 if pairs == [] and len(set(base)) == 1 else 1)


@pytest.mark.parametrize("number", ["52998224725", "11144477735"])
def test_known_cpfs_hold(number: str) -> None:
    assert is_cpf(number)


@pytest.mark.parametrize("digit", "0123456789")
def test_a_cpf_of_one_repeated_digit_is_none_though_its_sum_holds(digit: str) -> None:
    assert not is_cpf(digit * 11)


@pytest.mark.parametrize("number", ["11222333000181", "00000000000191", "12ABC34501DE35"])
def test_known_cnpjs_hold_in_the_old_form_and_the_new(number: str) -> None:
    assert is_cnpj(number)


@given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=12, max_size=12))
def test_exactly_one_pair_of_check_digits_makes_a_cnpj(base: str) -> None:
    pairs = [n for n in range(100) if is_cnpj(f"{base}{n:02}")]
    assert len(pairs) <= 1
    assert pairs or len(set(base)) == 1
