"""Prices told to people and to programs."""

from __future__ import annotations

import json

import pytest

from malha.api.cost.v1.price_pb2 import Price, Quote, Rates
from malha.cli.prices import per_million, tell

QUOTE = Quote(
    price=Price(
        provider="openai",
        model="gpt-99",
        row="openai/gpt-99@2026-03-01",
        effective_from="2026-03-01",
        rates=[
            Rates(input=150_000_000, cached_input=1, output=2_000_000_000),
            Rates(above=200_000, input=300_000_000, cached_input=2, output=1_234_500_000_000),
        ],
        reasons=True,
        source="a page",
        url="https://p.example",
        retrieved="2026-02-28",
    ),
    amount_microusd=5,
    ceiling_microusd=1_000_006,
)


def test_one_model_is_told_with_all_its_rates_its_source_and_what_the_call_costs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell([QUOTE], "7 in and 3 out", one=True, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "openai/gpt-99 since 2026-03-01, per million tokens:",
        "  $0.15 in, $0.000000001 in from a cache, $2.00 out",
        "  $0.30 in, $0.000000002 in from a cache, $1,234.50 out; all of a call with more than 200,000 in",
        "  it thinks in tokens that are billed as output and not shown",
        "source: a page, read 2026-02-28",
        "        https://p.example",
        "in the ledger: openai/gpt-99@2026-03-01",
        "7 in and 3 out cost $0.000005, of $1.000006 reserved",
    ]


def test_many_models_are_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    tell([QUOTE, QUOTE], "7 in and 3 out", one=False, as_json=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if "openai/" in line]
    assert len(lines) == 2
    assert "$0.15" in lines[0]
    assert "$0.000005" in lines[0]


def test_programs_get_whole_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    tell([QUOTE], "", one=True, as_json=True)
    [plain] = json.loads(capsys.readouterr().out)
    assert plain["rates"][1] == {
        "above": 200_000,
        "input": 300_000_000,
        "cached_input": 2,
        "output": 1_234_500_000_000,
    }
    assert (plain["row"], plain["reasons"]) == ("openai/gpt-99@2026-03-01", True)
    assert (plain["amount_microusd"], plain["ceiling_microusd"]) == (5, 1_000_006)


@pytest.mark.parametrize(
    ("rate", "said"), [(0, "$0.00"), (10**9, "$1.00"), (1, "$0.000000001"), (12_345 * 10**8, "$1,234.50")]
)
def test_a_rate_is_told_exactly(rate: int, said: str) -> None:
    assert per_million(rate) == said
