"""What is recommended: with an amount that the figures make, or not at all."""

from __future__ import annotations

from datetime import date

from malha.api.cost.v1.report_pb2 import Recommendation
from malha_cost.advice import ModelCalls, Unknown, recommendations
from malha_cost.prices import Band, Price, PriceTable, Rates

TODAY = date(2026, 1, 15)
BILLION = 1_000_000_000
DEAR, MIDDLE, CHEAP = (Rates(n * BILLION, n * BILLION, n * BILLION) for n in (10, 6, 1))
EMBEDDING = Rates(BILLION // 10, BILLION // 10, 0)
PRICES = PriceTable(
    Price(provider, model, since, rates, "a test")
    for provider, model, since, rates in (
        ("p", "dear", date.min, DEAR),
        ("p", "almost as dear", date.min, Rates(9 * BILLION, 9 * BILLION, 10 * BILLION)),
        ("p", "middle", date.min, MIDDLE),
        ("p", "cheap", date.min, CHEAP),
        ("p", "embedding", date.min, EMBEDDING),
        ("p", "from tomorrow on", date(2026, 1, 16), Rates(7 * BILLION, 7 * BILLION, 7 * BILLION)),
        ("p", "*", date.min, Rates(0, 0, 0)),
        ("q", "elsewhere", date.min, Rates(8 * BILLION, 8 * BILLION, 8 * BILLION)),
    )
)


def calls(model: str = "dear", rates: Rates = DEAR, **figures: int) -> ModelCalls:
    """Ten calls of a hundred tokens in and ten out, reserved at ten."""
    told = {
        "calls": 10,
        "input_tokens": 1000,
        "cached_tokens": 0,
        "output_tokens": 100,
        "spent": 11_000,
        "most_output": 10,
        "reserved_output": 100,
        "repeated": 0,
    } | figures
    return ModelCalls("a", "model", "p", model, rates, **told)


def advised(*of: ModelCalls, unknown: tuple[Unknown, ...] = ()) -> list[Recommendation]:
    return recommendations(of, unknown, PRICES, TODAY)


def test_the_nearest_cheaper_model_of_the_same_provider_is_named_with_what_both_cost() -> None:
    [advice] = advised(calls())
    assert advice.kind == Recommendation.KIND_CHEAPER_MODEL
    assert "p/middle" in advice.change
    assert advice.saves_microusd == 11_000 - 6_600
    assert "1,000 input tokens" in advice.arithmetic
    assert "$0.011000 here, $0.006600 there" in advice.arithmetic


def test_neither_an_embedding_model_nor_a_little_saving_nor_a_free_model_is_advice() -> None:
    assert advised(calls("cheap", CHEAP, spent=1_100)) == []
    assert advised(calls("free", Rates(0, 0, 0), spent=0)) == []


def test_embeddings_are_compared_with_embeddings() -> None:
    of = calls("dear embedding", Rates(BILLION, BILLION, 0), output_tokens=0, spent=1_000)
    [advice] = advised(of._replace(component="embedding", most_output=0, reserved_output=0))
    assert "p/embedding" in advice.change
    assert advice.saves_microusd == 900


def test_input_paid_as_new_is_worth_what_lies_between_the_two_prices() -> None:
    rates = Rates(BILLION, BILLION // 10, BILLION)
    [advice] = advised(calls("cheap", rates, spent=1_100, repeated=500))
    assert (advice.kind, advice.saves_microusd) == (Recommendation.KIND_PROMPT_CACHE, 450)
    assert "500 input tokens" in advice.arithmetic
    assert "$0.9 a million" in advice.arithmetic
    assert advised(calls("cheap", CHEAP, spent=1_100, repeated=500)) == [], "it has no cached price"


def test_a_ceiling_far_above_the_longest_answer_frees_money_and_saves_none() -> None:
    [advice] = advised(calls("cheap", CHEAP, spent=1_100, reserved_output=1_000))
    assert (advice.saves_microusd, advice.frees_microusd) == (0, 900)
    assert advice.change == "lower max_output_tokens towards 10, the longest answer"
    assert advised(calls("cheap", CHEAP, spent=1_100, reserved_output=190)) == []


def test_what_was_held_for_nothing_is_told_of_the_calls_that_held_it_alone() -> None:
    stepped = Rates(BILLION, BILLION, BILLION, (Band(1000, 2 * BILLION, 2 * BILLION, 2 * BILLION),))
    short = calls("cheap", stepped, spent=1_100, most_output=10, reserved_output=1_000)
    long = calls("cheap", stepped, input_tokens=20_000, spent=40_200, most_output=20, reserved_output=150)
    [advice] = [one for one in advised(short, long) if one.kind == Recommendation.KIND_LOWER_CEILING]
    assert "10 calls reserved 1,000 output tokens, where 10 times 20 would have done" in advice.arithmetic
    assert "800 tokens" in advice.arithmetic
    assert advice.frees_microusd == 800


def test_calls_without_an_outcome_are_worth_no_more_than_their_ceilings_and_come_by_what_they_save() -> None:
    unknown = (Unknown("b", "", "a tool", 2, 50_000), Unknown("b", "", "a free tool", 2, 0))
    kinds = [(advice.subject, advice.saves_microusd) for advice in advised(calls(), unknown=unknown)]
    assert kinds == [("b: a tool", 50_000), ("a: p/dear", 4_400)]


LONGER = Rates(2 * BILLION, BILLION // 2, 2 * BILLION, (Band(150, 4 * BILLION, BILLION, 4 * BILLION),))
SHORT = {"spent": 2_200, "repeated": 300, "reserved_output": 1_000}
LONG = {"calls": 1, "input_tokens": 200, "output_tokens": 10, "spent": 840, "repeated": 50}


def test_calls_of_two_lengths_are_one_piece_of_advice_each_at_its_own_rates() -> None:
    cheaper, cache, ceiling = advised(calls("cheap", LONGER, **SHORT), calls("cheap", LONGER, **LONG))
    assert (cheaper.saves_microusd, cache.saves_microusd) == (3_040 - 1_310, 450 + 150)
    assert cheaper.arithmetic.startswith("11 calls used 1,200 input tokens")
    assert "$1.5 a million for 300 of them, $3 a million for 50 of them" in cache.arithmetic
    assert ceiling.frees_microusd == 2 * 900 + 4 * 90


def test_a_cache_that_costs_more_than_it_saves_is_not_recommended() -> None:
    rates = Rates(BILLION, 2 * BILLION, BILLION)
    assert advised(calls("cheap", rates, spent=1_100, repeated=500)) == []
