"""The calculator is exact, and no text of 500 characters makes it work for long or do anything else."""

from __future__ import annotations

import contextlib
import json
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.api.common.v1.principal_pb2 import Principal
from malha.errors import ErrorReason, MalhaError
from malha_tools.tools.arithmetic import ArithmeticRefusedError, calculate
from malha_tools.tools.calculator import Calculator


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("17 * 23", "391"),
        ("40 * 2.49", "99.60"),
        ("0.1 + 0.2", "0.3"),
        ("(1250 + 80) / 4", "332.5"),
        ("-7 // 2", "-4"),
        ("-7 % 3", "2"),
        ("17 % 5", "2"),
        ("15%", "0.15"),
        ("15% of 200", "30"),
        ("100 * (1 + 8%)", "108"),
        ("200 - 15%", "199.85"),
        ("100 / 50%", "200"),
        ("10% ** 2", "0.01"),
        ("4 ^ 50%", "2"),
        ("-(20 + 5)% of 8", "-2"),
        ("10 - 2.50%", "9.975"),
        ("2 ** 10", "1024"),
        ("2^10", "1024"),
        ("2 ** -2", "0.25"),
        ("2 ** 100", "1267650600228229401496703205376"),
        ("3 × 4 ÷ 6 − 1", "1"),
        ("sqrt(144)", "12"),
        ("sqrt(2.25)", "1.5"),
        ("16 ** 0.5", "4"),
        ("round(2.5)", "3"),
        ("round(-2.5)", "-3"),
        ("round(10 / 3, 2)", "3.33"),
        ("round(1250, -2)", "1300"),
        ("min(3, 1, 2) + max(4, 5)", "6"),
        ("abs(-3.20)", "3.20"),
        ("1.5e3 + .5", "1500.5"),
        ("2.e1 + 1E-1", "20.1"),
    ],
)
def test_values_are_exact_and_written_as_people_write_them(text: str, shown: str) -> None:
    calculated = calculate(text)
    assert (str(calculated), calculated.shown_exactly) == (shown, True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("10 / 3", "3.33333333333333"),
        ("sqrt(2)", "1.4142135623731"),
        ("2 ** 0.3", "1.23114441334492"),
        ("2 ** -0.5", "0.707106781186548"),
        ("1 / 3000000", "0.000000333333333333333"),
        ("(1 + 0.039875/12) ** 360", "3.3"),
        ("2 ** 1000", "1.07150860718627E+301"),
    ],
)
def test_a_value_without_an_end_is_rounded_and_says_so(text: str, shown: str) -> None:
    calculated = calculate(text)
    assert str(calculated).startswith(shown)
    assert not calculated.shown_exactly


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("9**9**9", "exponents"),
        ("9**9**9**9", "exponents"),
        ("2**4000 * 2**4000 * 2**4000 * 2**4000 * 2**4000", "too large"),
        ("1e999 ** 9", "too large"),
        ("007", "not an arithmetic"),
        ("1e9999", "decimal number"),
        ("10**4096 * 10**4096", "too large"),
        ("1/0", "division by zero"),
        ("5 % 0", "division by zero"),
        ("0 ** -1", "division by zero"),
        ("sqrt(-1)", "not real"),
        ("(-8) ** 0.5", "not real"),
        ("0x10", "decimal number"),
        ("1_000", "decimal number"),
        ("2j", "decimal number"),
        ("1if 2 else 3", "decimal number"),
        ("1e5or 2", "decimal number"),
        ("True", "decimal number"),
        ("'a' * 9", "decimal number"),
        ("", "not an arithmetic"),
        ("1 +", "not an arithmetic"),
        ("1; 2", "not an arithmetic"),
        ("x = 1", "not an arithmetic"),
        ("1,5 + 2", "decimal point"),
        ("2 * 1,234.50", "between thousands"),
        ("(1,5) * 2", "decimal point"),
        ("price * 2", "only numbers"),
        ("[1, 2][0]", "only numbers"),
        ("(1).__class__", "only numbers"),
        ("lambda: 1", "only numbers"),
        ("1 if 2 else 3", "only numbers"),
        ("1 < 2", "only numbers"),
        ("not 1", "only numbers"),
        ("5 & 3", "operators are"),
        ("1 << 100000", "operators are"),
        ("__import__('os').system('true')", "only numbers"),
        ("eval(1)", "not understood"),
        ("round(1, 1.5)", "not understood"),
        ("round(1, 1000)", "not understood"),
        ("max()", "not understood"),
        ("sqrt(x=4)", "only numbers"),
        ("max(*[1])", "only numbers"),
        ("٣ + 1", "only numbers"),
        ("1" * 501, "longer than"),
        ("abs(" * 90 + "1" + ")" * 90, "nested too deeply|not an arithmetic"),
        ("-" * 400 + "1", "nested too deeply|not an arithmetic"),
    ],
)
def test_what_is_no_arithmetic_or_too_much_of_it_is_refused(text: str, why: str) -> None:
    with pytest.raises(ArithmeticRefusedError, match=why):
        calculate(text)


def test_the_worst_of_500_characters_is_quick() -> None:
    worst = "+".join(["(1/7)**4096"] * 41)
    for text in (
        worst,
        "*".join(["(1/7)**3000"] * 41),
        "sqrt(" * 50 + "7**4096" + ")" * 50,
        "-".join(["1/7**999"] * 55),
    ):
        started = time.process_time()
        with contextlib.suppress(ArithmeticRefusedError):
            assert str(calculate(text))
        assert time.process_time() - started < 0.25


numbers = st.one_of(
    st.integers(0, 10**9).map(str),
    st.decimals(0, 10**6, places=3, allow_nan=False).map(lambda d: f"{d:f}"),
)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> tuple[str, Fraction | None]:
    """An expression and its value by Fraction; None where it has none."""
    if depth == 0 or draw(st.booleans()):
        text = draw(numbers)
        return text, Fraction(text)
    left, a = draw(expressions(depth - 1))
    right, b = draw(expressions(depth - 1))
    operator = draw(st.sampled_from(["+", "-", "*", "/", "//", "%"]))
    text = f"({left}) {operator} ({right})"
    if a is None or b is None or (operator in ("/", "//", "%") and b == 0):
        return text, None
    value = {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "/": lambda: a / b,
        "//": lambda: Fraction(a // b),
        "%": lambda: a % b,
    }[operator]()
    return text, value


@given(expressions())
def test_it_agrees_with_fractions(case: tuple[str, Fraction | None]) -> None:
    text, value = case
    if len(text) > 500:
        return
    if value is None:
        with pytest.raises(ArithmeticRefusedError):
            calculate(text)
        return
    calculated = calculate(text)
    assert calculated.value == value
    if calculated.shown_exactly:
        assert Fraction(str(calculated)) == value
    else:
        assert abs(Fraction(str(calculated)) - value) <= abs(value) / 10**14


@given(st.text(max_size=60))
def test_any_text_is_a_value_or_a_refusal(text: str) -> None:
    with contextlib.suppress(ArithmeticRefusedError):
        assert str(calculate(text))


@given(st.text(alphabet="0123456789.+-*/%^()e, sqrtoundmaxi", max_size=40))
def test_any_text_that_looks_like_arithmetic_is_a_value_or_a_refusal(text: str) -> None:
    with contextlib.suppress(ArithmeticRefusedError):
        assert str(calculate(text))


async def test_the_tool_answers_a_sentence_that_stands_alone() -> None:
    result = await Calculator().run({"expression": " 40 * 2.49"}, Principal(), "")
    assert result.text == "40 * 2.49 = 99.60"
    assert json.loads(result.result_json) == {"expression": "40 * 2.49", "value": "99.60", "exact": True}
    assert (await Calculator().run({"expression": "2/3"}, Principal(), "")).text == "2/3 ≈ 0.666666666666667"


async def test_what_cannot_be_calculated_is_a_declared_failure() -> None:
    with pytest.raises(MalhaError) as error:
        await Calculator().run({"expression": "1/0"}, Principal(), "")
    assert error.value.reason == ErrorReason.ERROR_REASON_TOOL_FAILED
    assert error.value.message == "1/0 cannot be calculated: division by zero is not defined."
