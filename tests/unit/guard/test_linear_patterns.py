"""No pattern of the guard can be made to work for longer than its text is long.

Catastrophic backtracking needs a repetition without bound inside another repetition, or two in a row
that can share characters. The patterns are taken apart and searched for the first; the second is
excluded by demanding that what follows an unbounded repetition cannot begin as the repetition goes on
(or that it gives nothing back: possessive).
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import re._parser as parser  # type: ignore[import-not-found]  # the only way to see a pattern's parts
from typing import Any

import malha_guard

UNBOUNDED = parser.MAXREPEAT
REPEATS = {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}


def patterns() -> dict[str, re.Pattern[str]]:
    found: dict[str, re.Pattern[str]] = {}

    def collect(name: str, value: object) -> None:
        if isinstance(value, re.Pattern):
            found[name] = value
        elif isinstance(value, tuple):
            for number, part in enumerate(value):
                collect(f"{name}[{number}]", part)

    for module in pkgutil.walk_packages(malha_guard.__path__, "malha_guard."):
        if not module.name.endswith("__main__"):
            for name, value in vars(importlib.import_module(module.name)).items():
                collect(f"{module.name}.{name}", value)
    return found


def nested_without_bound(parts: Any, inside: bool = False) -> bool:
    for operation, argument in parts:
        name = str(operation)
        if name in REPEATS:
            _, most, inner = argument
            without_bound = most == UNBOUNDED
            if without_bound and inside:
                return True
            if nested_without_bound(inner, inside or without_bound or most > 8):
                return True
        elif name == "SUBPATTERN":
            if nested_without_bound(argument[3], inside):
                return True
        elif name == "BRANCH":
            if any(nested_without_bound(branch, inside) for branch in argument[1]):
                return True
        elif name in {"ASSERT", "ASSERT_NOT"} and nested_without_bound(argument[1], inside):
            return True
    return False


def test_the_check_knows_a_catastrophe_when_it_sees_one() -> None:
    assert nested_without_bound(parser.parse(r"(a+)+b"))
    assert nested_without_bound(parser.parse(r"(?:a|(?:b+c)*)*d"))
    assert not nested_without_bound(parser.parse(r"a+b{1,5}(?:c|d)"))


def test_no_pattern_repeats_a_repetition_without_bound() -> None:
    found = patterns()
    assert len(found) > 15
    assert [
        name for name, pattern in found.items() if nested_without_bound(parser.parse(pattern.pattern))
    ] == []
