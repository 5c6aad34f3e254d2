"""E-mail addresses and telephones are masked; dates, versions and prices are not."""

from __future__ import annotations

import pytest

from malha_guard.contacts import find_contacts
from malha_guard.reading import Reading


def found(text: str) -> list[str]:
    return [text[f.start : f.end] for f in find_contacts(Reading(text))]


@pytest.mark.parametrize(
    "address", ["ana.souza@example.com", "a+b@mail.example.com.br", "joão@exemplo.example.org"]
)
def test_an_address_is_found_whole(address: str) -> None:
    assert found(f"escreva para {address}, obrigado") == [address]


@pytest.mark.parametrize("after", ["—she", "-", "--", "2", ".2", ".", "_", "\u2026", "/inbox"])
def test_an_address_is_found_whatever_is_glued_to_it(after: str) -> None:
    assert [one[:15] for one in found(f"to ana@example.com{after} at once")] == ["ana@example.com"]


@pytest.mark.parametrize(
    "text", ["@decorator", "user@localhost", "a @ b", "x@1.2", "@", "a@b.", "left-pad@1.3.0-beta"]
)
def test_an_at_sign_alone_is_no_address(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    "number",
    [
        "+55 11 98765-4321",
        "(11) 98765-4321",
        "11 98765-4321",
        "11987654321",
        "(11) 3456-7890",
        "+1 415 555 0171",
        "(415) 555-0132",
        "415-555-0132",
        "+44 20 7946 0958",
        "0800 123 4567",
    ],
)
def test_a_telephone_is_found_whole(number: str) -> None:
    assert found(f"ligue {number} hoje") == [number]


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20",
        "version 1.78.2",
        "192.168.100.200",
        "R$ 1.234.567,89",
        "from 2019-2024",
        "05422-000",
        "order 1234567890",
        "1700000000",
        "3.14159265358979",
    ],
)
def test_a_number_that_nobody_can_ring_stays(text: str) -> None:
    assert found(text) == []
