"""A line of the log is JSON, whatever it is told; no call fails for what it logs."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from malha.telemetry.logs import _dumps, foreign


@pytest.mark.parametrize("value", ["half \ud800 a pair", 2**70, {1: "a"}, b"\xff", {"a"}, float("nan"), None])
def test_whatever_is_logged_is_a_line_of_json(value: object) -> None:
    line = _dumps({"event": "said", "value": value})
    assert "\n" not in line
    assert json.loads(line).keys() == {"event", "value"}


def test_what_a_library_logs_is_a_line_like_ours() -> None:
    try:
        raise ValueError("no\nnumber")
    except ValueError:
        record = logging.makeLogRecord(
            {"name": "library", "msg": "failed %s", "args": ("twice",), "levelno": logging.ERROR}
            | {"levelname": "ERROR", "exc_info": sys.exc_info()}
        )
    line = foreign("guard").format(record)
    told = json.loads(line)
    assert "\n" not in line
    assert (told["event"], told["logger"], told["level"]) == ("failed twice", "library", "error")
    assert told["service"] == "guard"
    assert "ValueError: no\nnumber" in told["exception"]
