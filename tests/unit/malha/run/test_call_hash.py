"""Exactly what is approved: RFC 8785's own examples, and what makes two calls the same."""

from __future__ import annotations

import json
import struct

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from malha.run import NoCanonicalFormError, attempt_hash, call_hash

# RFC 8785, 3.2.2 to 3.2.4: the sample and its canonical form in UTF-8
SAMPLE = r"""
{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}"""
CANONICAL = (
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
    r'"string":"€$\u000f\nA' + r"'B\"\\\\\"/" + '"}'
)
# RFC 8785, 3.2.3: keys in the order of their UTF-16 code units
KEYS = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
# RFC 8785, appendix B: IEEE 754 doubles in the spelling of ECMAScript
NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]

arguments = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


def test_the_canonical_form_is_that_of_the_rfc() -> None:
    assert rfc8785.dumps(json.loads(SAMPLE)).decode() == CANONICAL


def test_keys_stand_in_the_order_of_utf16() -> None:
    shuffled = dict.fromkeys(sorted(KEYS, reverse=True), 0)
    assert list(json.loads(rfc8785.dumps(shuffled))) == KEYS


@pytest.mark.parametrize(("bits", "spelling"), NUMBERS)
def test_numbers_are_spelt_as_in_the_rfc(bits: str, spelling: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert rfc8785.dumps(number).decode() == spelling


@given(arguments)
def test_spelling_and_the_order_of_keys_make_no_difference(value: dict[str, object]) -> None:
    other = json.loads(json.dumps(dict(reversed(value.items())), indent=3, ensure_ascii=True))
    assert call_hash("t", "1", value, "p") == call_hash("t", "1", other, "p")


@given(arguments, arguments)
def test_other_arguments_are_another_call(one: dict[str, object], two: dict[str, object]) -> None:
    same = orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(two, option=orjson.OPT_SORT_KEYS)
    assert (call_hash("t", "1", one, "p") == call_hash("t", "1", two, "p")) is same


def test_another_tool_version_or_policy_is_another_call() -> None:
    calls = [
        ("t", "1", "p"),
        ("u", "1", "p"),
        ("t", "2", "p"),
        ("t", "1", "q"),
        ("t1", "", "p"),
        ("t", "", "1p"),
    ]
    hashes = {call_hash(tool, version, {"a": 1}, policy) for tool, version, policy in calls}
    assert len(hashes) == len(calls)
    assert {len(one) for one in hashes} == {32}


def test_a_number_that_json_cannot_hold_exactly_has_no_canonical_form() -> None:
    with pytest.raises(NoCanonicalFormError):
        call_hash("t", "1", {"id": 2**60 + 1}, "p")


def test_each_attempt_has_a_hash_of_its_own() -> None:
    keys = [f"acme/{'a' * 52}/{step}/7/{leg}" for step in (1, 2) for leg in (1, 2)]
    assert len({attempt_hash(key) for key in keys}) == 4
