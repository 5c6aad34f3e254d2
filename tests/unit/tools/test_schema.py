"""A schema complains in words, whatever it is held against."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from malha_tools.schema import Schema

TREE = {"type": "array", "items": {"$ref": "#/$defs/tree"}}
SCHEMA = Schema(
    json.dumps(
        {
            "type": "object",
            "properties": {"set": {"type": "array", "uniqueItems": True}, "tree": {"$ref": "#/$defs/tree"}},
            "$defs": {"tree": TREE},
        }
    )
)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_what_fits_has_no_fault() -> None:
    assert SCHEMA.faults({"set": [1, 2], "tree": nested(3)}) == []


@pytest.mark.parametrize("name", ["set", "tree"])
def test_a_value_nested_too_deeply_to_be_checked_is_at_fault(name: str) -> None:
    assert SCHEMA.faults({name: nested(2_000)}) == ["it is nested too deeply"]


@pytest.mark.parametrize(
    ("items", "unique"),
    [
        ([], True),
        ([1, 2, "1", None, True, False, 0], True),
        ([1, 1.0], False),
        ([{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}], False),
        ([{"a": 1}, {"a": True}, {"a": "1"}, {"a": [1]}, {}], True),
        ([[1, 2], [2, 1], [[1], 2], []], True),
        (["a", {"a": 1}, "a"], False),
        ([None, None], False),
    ],
)
def test_items_are_equal_as_json_is(items: list[Any], unique: bool) -> None:
    assert bool(SCHEMA.faults({"set": items})) is not unique


def test_a_set_of_thousands_of_objects_is_checked_in_a_moment() -> None:
    started = time.process_time()
    assert SCHEMA.faults({"set": [{"n": n} for n in range(4_000)]}) == []
    assert time.process_time() - started < 2  # where each is compared with every other, five times that
