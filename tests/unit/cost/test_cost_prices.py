"""Prices: exact, dated, with a source; unknown is refused and never free."""

from datetime import date
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from genai_prices.data import providers
from genai_prices.types import ModelPrice, StartDateConstraint
from hypothesis import given
from hypothesis import strategies as st

from malha.api.common.v1.usage_pb2 import Usage
from malha.errors import ErrorReason, MalhaError
from malha_cost.adapters import price_file
from malha_cost.adapters.price_file import BUNDLED, PriceFileError
from malha_cost.prices import Price, PriceTable, Rates

TODAY = date(2026, 11, 20)
tokens = st.integers(0, 10**8)
rates = st.builds(Rates, *(st.integers(0, 10**11) for _ in range(3)))


def _row(model: str, start: date, dollars: int) -> Price:
    return Price("p", model, start, Rates(dollars, dollars, dollars), "a test")


@given(rates, tokens, tokens, tokens)
def test_a_cost_is_the_decimal_sum_rounded_half_up(
    rates: Rates, fresh: int, cached: int, output: int
) -> None:
    usage = Usage(input_tokens=fresh + cached, cached_input_tokens=cached, output_tokens=output)
    exact = (Decimal(fresh * rates.input) + cached * rates.cached_input + output * rates.output) / 10**9
    assert rates.cost(usage) == exact.quantize(Decimal(1), ROUND_HALF_UP)


@given(rates, tokens, tokens)
def test_a_ceiling_is_the_dearest_reading_rounded_up(rates: Rates, input_: int, output: int) -> None:
    exact = (Decimal(input_) * max(rates.input, rates.cached_input) + output * rates.output) / 10**9
    assert rates.ceiling(input_, output) == exact.quantize(Decimal(1), ROUND_CEILING)


@given(rates, tokens, tokens, st.data())
def test_what_keeps_within_its_ceiling_never_costs_more(
    rates: Rates, input_: int, output: int, data: st.DataObject
) -> None:
    used = data.draw(st.integers(0, input_))
    usage = Usage(
        input_tokens=used,
        cached_input_tokens=data.draw(st.integers(0, used)),
        output_tokens=data.draw(st.integers(0, output)),
    )
    assert rates.cost(usage) <= rates.ceiling(input_, output)


def test_half_a_micro_dollar_counts_as_one() -> None:
    assert Rates(500_000_000, 0, 0).cost(Usage(input_tokens=1)) == 1
    assert Rates(499_999_999, 0, 0).cost(Usage(input_tokens=1)) == 0
    assert Rates(1, 0, 0).ceiling(1, 0) == 1


@pytest.mark.parametrize(
    ("day", "dollars"),
    [(date(2026, 1, 31), 1), (date(2026, 2, 1), 2), (date(2026, 12, 31), 2), (date(2027, 1, 1), 3)],
)
def test_the_newest_row_that_has_begun_is_in_force(day: date, dollars: int) -> None:
    table = PriceTable(
        [_row("m", date(2026, 2, 1), 2), _row("m", date.min, 1), _row("m", date(2027, 1, 1), 3)]
    )
    assert table.find("p", "m", day).rates.input == dollars


def test_a_row_of_its_own_wins_over_the_providers_any_model() -> None:
    table = PriceTable([_row("*", date.min, 1), _row("m", date.min, 2)])
    assert table.find("p", "m", TODAY).rates.input == 2
    assert table.find("p", "other", TODAY).rates.input == 1


@pytest.mark.parametrize(("provider", "model"), [("openai", "gpt-99"), ("nobody", "gpt-4o"), ("openai", "*")])
def test_a_model_without_a_row_is_refused(provider: str, model: str) -> None:
    with pytest.raises(MalhaError) as refusal:
        price_file.load(BUNDLED).find(provider, model, TODAY)
    assert refusal.value.reason == ErrorReason.ERROR_REASON_PRICE_UNKNOWN
    assert refusal.value.metadata["model"] == model


def test_a_model_has_no_price_before_its_first_row() -> None:
    with pytest.raises(MalhaError):
        PriceTable([_row("m", date(2026, 2, 1), 2)]).find("p", "m", date(2026, 1, 31))


def test_the_offline_model_costs_nothing_under_any_name() -> None:
    assert price_file.load(BUNDLED).find("offline", "extractive-1", TODAY).rates == Rates(0, 0, 0)


def test_bundled_prices_are_those_of_genai_prices() -> None:
    known = {provider.id: provider for provider in providers}
    checked = 0
    for provider, model in price_file.load(BUNDLED)._rows:
        if provider == "offline":
            continue
        for price in price_file.load(BUNDLED)._rows[provider, model]:
            info = known[provider].find_model(model)
            assert info is not None, f"{provider} has no {model}"
            assert price.rates == _rates_of(info.prices, price.effective_from), (provider, model)
            checked += 1
    assert checked >= 15


def _rates_of(prices: object, start: date) -> Rates:
    if isinstance(prices, list):
        starts = {
            p.constraint.start_date if isinstance(p.constraint, StartDateConstraint) else date.min: p.prices
            for p in prices
        }
        prices = starts[start]
    else:
        assert start == date.min, "genai-prices knows of no change of this price"
    assert isinstance(prices, ModelPrice)
    amounts = (prices.input_mtok, prices.cache_read_mtok, prices.output_mtok)
    assert all(amount is None or isinstance(amount, Decimal) for amount in amounts), "tiers are left out"
    input_, cached, output = (None if a is None else int(Decimal(str(a)) * 10**9) for a in amounts)
    assert input_ is not None
    return Rates(input_, input_ if cached is None else cached, output or 0)


def test_an_operators_file_wins_and_adds(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "source: our contract\nprices:\n"
        '- {provider: openai, model: gpt-4o, input: "1.5", output: "9"}\n'
        '- {provider: scripted, model: "*", input: "2", output: "6"}\n'
    )
    table = price_file.load(BUNDLED, own)
    negotiated = table.find("openai", "gpt-4o", TODAY)
    assert negotiated.rates == Rates(1_500_000_000, 1_500_000_000, 9_000_000_000)
    assert negotiated.source == "our contract"
    assert table.find("scripted", "anything", TODAY).rates.output == 6_000_000_000
    assert table.find("openai", "gpt-4o-mini", TODAY).rates.input == 150_000_000


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{provider: p, model: m, input: 0.15, output: "1"}', "in quotes"),
        ('{provider: p, model: m, input: "-1", output: "1"}', "not an amount"),
        ('{provider: p, model: m, input: "0.0000000001", output: "1"}', "not an amount"),
        ('{provider: p, model: m, input: "cheap", output: "1"}', "price 1"),
        ('{provider: p, model: m, input: "NaN", output: "1"}', "price 1"),
        ('{provider: p, model: m, input: "1"}', "output"),
        ('{provider: p, model: m, input: "1", output: "1", outptu: "2"}', "outptu"),
        ('{provider: p, model: m, from: soon, input: "1", output: "1"}', "date"),
        ("nonsense", "price 1"),
    ],
)
def test_a_price_that_cannot_be_trusted_stops_the_start(tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(f"source: a test\nprices:\n- {row}\n")
    with pytest.raises(PriceFileError, match=said):
        price_file.load(path)


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(PriceFileError):
        price_file.load(tmp_path / "none.yaml")
