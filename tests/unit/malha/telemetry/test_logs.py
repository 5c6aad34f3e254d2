"""A line of the log is JSON, whatever it is told; no call fails for what it logs."""

from __future__ import annotations

import json

import pytest

from malha.telemetry.logs import _dumps


@pytest.mark.parametrize("value", ["half \ud800 a pair", 2**70, {1: "a"}, b"\xff", {"a"}, float("nan"), None])
def test_whatever_is_logged_is_a_line_of_json(value: object) -> None:
    line = _dumps({"event": "said", "value": value})
    assert "\n" not in line
    assert json.loads(line).keys() == {"event", "value"}
