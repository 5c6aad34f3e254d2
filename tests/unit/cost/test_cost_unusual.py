"""What stands out: by the median, so that neither scale nor a day gone wrong decides."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from malha_cost.spending import Spent, by_hour, by_run, same_hour
from malha_cost.unusual import Rule, robust_score, unusual, usual

RULE = Rule(score=3.5, least=1_000, history=7)
amounts = st.integers(0, 10**9)
histories = st.lists(amounts, min_size=7, max_size=28)


@given(amounts, histories, st.integers(1, 10**6))
def test_the_score_does_not_depend_on_the_unit(value: int, before: list[int], times: int) -> None:
    scaled = robust_score(value * times, usual([amount * times for amount in before]), floor=10 * times)
    assert abs(scaled - robust_score(value, usual(before), floor=10)) <= 1e-9 * abs(scaled)


@given(amounts, histories, amounts)
def test_the_score_does_not_depend_on_what_all_amounts_have_in_common(
    value: int, before: list[int], more: int
) -> None:
    number: Any = Fraction  # exact, and reckoned with as a float is
    exact = [number(amount) for amount in before]
    shifted = robust_score(number(value + more), usual([amount + more for amount in exact]), floor=1)
    assert shifted == robust_score(number(value), usual(exact), floor=1)


@given(st.integers(1_000, 10**6), st.integers(1, 10**12), st.integers(0, 27))
def test_one_day_gone_wrong_in_the_past_hides_none_today(amount: int, outlier: int, day: int) -> None:
    before = [amount] * 28
    before[day] = outlier
    found = unusual(20 * amount, usual(before), RULE)
    assert found is not None
    assert found.median == amount


@given(st.integers(0, 10**6), st.integers(1, 28))
def test_what_is_as_ever_is_not_unusual(amount: int, days: int) -> None:
    assert unusual(amount, usual([amount] * days), RULE) is None


@given(amounts, histories)
def test_dearer_is_never_less_unusual(value: int, before: list[int]) -> None:
    if unusual(value, usual(before), RULE) is not None:
        assert unusual(value + 1, usual(before), RULE) is not None


def test_neither_pennies_nor_new_tenants_alarm_anybody() -> None:
    assert unusual(999, usual([0] * 28), RULE) is None
    assert unusual(10**9, usual([0] * 6), RULE) is None
    assert unusual(1_000, usual([0] * 7), RULE) is not None


def test_a_past_without_variation_still_allows_a_little() -> None:
    assert unusual(12_000, usual([10_000] * 28), RULE) is None
    assert unusual(16_000, usual([10_000] * 28), RULE) is not None


def test_days_before_a_tenants_first_are_no_history_and_quiet_days_since_are() -> None:
    hour = 24 * 100
    assert same_hour({}, hour) == []
    assert same_hour({hour - 24 * 3: 7}, hour) == [0, 0, 7]
    assert same_hour({hour - 24 * 2 - 5: 7}, hour) == [0, 0]
    assert same_hour({hour - 24 * 60: 7}, hour) == [0] * 28


def test_money_is_summed_by_hour_for_each_agent_and_for_all_and_by_run() -> None:
    spent = [
        Spent(3_600_000_000 * hour, "ana", "", "", "", run, agent, amount)
        for hour, run, agent, amount in (
            (1, "r", "a", 5),
            (1, "s", "b", 7),
            (2, "r", "a", -2),
            (2, "t", "", 1),
        )
    ]
    assert {tuple(place)[1:]: amount for place, amount in by_hour(spent).items()} == {
        ("a", 1): 5,
        ("b", 1): 7,
        ("", 1): 12,
        ("a", 2): -2,
        ("", 2): -1,
    }
    assert {run.run_id: tuple(sums)[:2] for run, sums in by_run(spent).items()} == {
        "r": (3, 2),
        "s": (7, 1),
        "t": (1, 1),
    }
