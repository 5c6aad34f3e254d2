"""Prices told to people: the row in force, its source, and what a call would come to."""

from datetime import date

import pytest

from malha.api.cost.v1.cost_service_pb2 import QuoteRequest
from malha.api.cost.v1.price_pb2 import Price as Told
from malha.api.cost.v1.price_pb2 import Rates as ToldRates
from malha.errors import ErrorReason, MalhaError
from malha_cost.prices import Band, Price, PriceTable, Rates
from malha_cost.quoting import quotes

OLD = Price("p", "m", date.min, Rates(10**9, 10**9, 10**9), "a book")
NEW = Price(
    "p",
    "m",
    date(2026, 3, 1),
    Rates(2 * 10**9, 10**8, 10**10, (Band(1_000, 4 * 10**9, 10**8, 10**10),)),
    "a page",
    batch=Rates(10**9, 10**8, 5 * 10**9),
    reasons=True,
    url="https://p.example",
    retrieved=date(2026, 2, 28),
)
TABLE = PriceTable([OLD, NEW, Price("q", "m", date.min, Rates(7, 7, 7), "a book")])
TODAY = date(2026, 3, 1)


def test_the_row_in_force_is_told_with_its_source_and_what_the_call_would_cost() -> None:
    [quote] = quotes(TABLE, QuoteRequest(model="p/m", input_tokens=500, output_tokens=3), TODAY)
    assert quote.price == Told(
        provider="p",
        model="m",
        row="p/m@2026-03-01",
        effective_from="2026-03-01",
        rates=[
            ToldRates(input=2 * 10**9, cached_input=10**8, output=10**10),
            ToldRates(above=1_000, input=4 * 10**9, cached_input=10**8, output=10**10),
        ],
        reasons=True,
        source="a page",
        url="https://p.example",
        retrieved="2026-02-28",
    )
    assert (quote.amount_microusd, quote.ceiling_microusd) == (1_030, 1_030)


def test_what_a_cache_serves_is_cheaper_and_reserved_as_if_it_did_not() -> None:
    asked = QuoteRequest(model="p/m", input_tokens=500, cached_input_tokens=500)
    [quote] = quotes(TABLE, asked, TODAY)
    assert (quote.amount_microusd, quote.ceiling_microusd) == (50, 1_000)


def test_a_batch_is_quoted_by_its_own_rates() -> None:
    [quote] = quotes(TABLE, QuoteRequest(model="p/m", input_tokens=500, batch=True), TODAY)
    assert (quote.amount_microusd, quote.price.row) == (500, "p/m@2026-03-01/batch")


@pytest.mark.parametrize(
    ("model", "day", "rows"),
    [
        ("m", TODAY, ["p/m@2026-03-01", "q/m@0001-01-01"]),
        ("p/m", date(2026, 2, 28), ["p/m@0001-01-01"]),
        ("", TODAY, ["p/m@2026-03-01", "q/m@0001-01-01"]),
    ],
)
def test_a_model_is_found_by_its_name_whoever_provides_it(model: str, day: date, rows: list[str]) -> None:
    assert [quote.price.row for quote in quotes(TABLE, QuoteRequest(model=model), day)] == rows


def test_a_model_without_a_row_is_quoted_as_it_would_be_reserved() -> None:
    with pytest.raises(MalhaError) as refusal:
        quotes(TABLE, QuoteRequest(model="p/n"), TODAY)
    assert refusal.value.reason == ErrorReason.ERROR_REASON_PRICE_UNKNOWN
    assert refusal.value.metadata == {"provider": "p", "model": "n"}
    ceiling = PriceTable([OLD, Price("*", "*", date.min, Rates(9, 9, 9), "our ceiling")])
    for name in ("nobody/n", "n", "nobody/deep/n"):
        [quote] = quotes(ceiling, QuoteRequest(model=name), TODAY)
        assert quote.price.source == "our ceiling"


def test_more_cached_input_than_input_is_refused_by_field() -> None:
    with pytest.raises(MalhaError) as refusal:
        quotes(TABLE, QuoteRequest(model="m", cached_input_tokens=1), TODAY)
    assert refusal.value.violations[0][0] == "cached_input_tokens"
