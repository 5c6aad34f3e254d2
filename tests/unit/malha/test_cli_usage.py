"""Spending told in four forms."""

from __future__ import annotations

import io
import json

import pytest

from malha.api.cost.v1.usage_pb2 import DayUsage, UsageRow
from malha.api.gateway.v1.run_pb2 import Run
from malha.cli.render import listing
from malha.cli.terminal import Terminal, whole
from malha.cli.usage import By, Form, chart, tell, tell_grouped, usd

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


@pytest.mark.parametrize("width", [40, 80])
def test_a_narrow_terminal_cuts_no_number(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = Terminal(file=io.StringIO(), width=width)
    monkeypatch.setattr("malha.cli.usage.console", narrow)
    row = UsageRow(
        name="anthropic/claude-sonnet-4-5-20250929",
        calls=123_456,
        input_tokens=1_234_567_890,
        cached_input_tokens=123_456_789,
        output_tokens=12_345_678,
        amount_microusd=1_234_567_890,
        share=0.5,
    )
    tell_grouped([row], By.MODEL, Form.TABLE)
    assert isinstance(narrow.file, io.StringIO)
    told = narrow.file.getvalue()
    for number in ("123,456", "1,234,567,890", "123,456,789", "12,345,678", "$1,234.567890", "50.0%"):
        assert number in told.split()
    assert "…" not in told


def test_a_narrow_terminal_cuts_neither_a_runs_id_nor_its_cost() -> None:
    narrow = Terminal(file=io.StringIO(), width=40)
    run = Run(run_id="0" * 52, agent="assistant")
    run.usage.input_tokens, run.cost.amount_microusd = 12_345, 1_234_567
    whole(narrow, listing([run]))
    assert isinstance(narrow.file, io.StringIO)
    assert {"0" * 52, "12345", "$1.234567"} <= set(narrow.file.getvalue().split())
