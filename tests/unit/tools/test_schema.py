"""A schema complains in words, whatever it is held against."""

from __future__ import annotations

import json
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
    value = {"set": [nested(900), nested(900)], "tree": nested(900)}[name]
    assert SCHEMA.faults({name: value}) == ["it is nested too deeply"]
