"""Spending told in four forms."""

from __future__ import annotations

import json

import pytest

from malha.api.cost.v1.usage_pb2 import DayUsage
from malha.cli.usage import Form, chart, tell, usd

DAYS = [
    DayUsage(day="2026-02-27", spent_microusd=2_000_000, used_tokens=7),
    DayUsage(day="2026-03-01", spent_microusd=1_000_001, reserved_microusd=5, used_tokens=3),
]


def test_programs_get_whole_micro_dollars(capsys: pytest.CaptureFixture[str]) -> None:
    tell(DAYS, Form.JSON)
    assert json.loads(capsys.readouterr().out)[1] == {
        "day": "2026-03-01",
        "spent_microusd": 1_000_001,
        "reserved_microusd": 5,
        "used_tokens": 3,
    }
    tell(DAYS, Form.CSV)
    assert capsys.readouterr().out.splitlines() == [
        "day,spent_microusd,reserved_microusd,used_tokens",
        "2026-02-27,2000000,0,7",
        "2026-03-01,1000001,5,3",
    ]


def test_a_chart_has_a_line_for_each_day_and_the_longest_bar_for_the_dearest() -> None:
    lines = chart(DAYS)
    assert [line[:10] for line in lines] == ["2026-02-27", "2026-02-28", "2026-03-01"]
    assert [line.count("█") for line in lines] == [40, 0, 20]
    assert lines[2].endswith("$1.000001")


def test_a_chart_of_nothing_spent_has_no_bars() -> None:
    assert chart([DayUsage(day="2026-02-27", used_tokens=1)])[0].count("█") == 0


def test_dollars_are_exact() -> None:
    assert [usd(amount) for amount in (0, 1, 1_234_567_890)] == ["$0.000000", "$0.000001", "$1,234.567890"]
