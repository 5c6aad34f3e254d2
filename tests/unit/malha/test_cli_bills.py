"""Usage, reports and bills as they are printed."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import cast

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from malha.api.common.v1.usage_pb2 import Cost
from malha.api.cost.v1.metering_pb2 import MeteredUsage
from malha.api.cost.v1.report_pb2 import DailyReport, QueryCost, Recommendation, Uncertain
from malha.api.cost.v1.usage_pb2 import UsageRow
from malha.api.gateway.v1.run_pb2 import Run
from malha.api.gateway.v1.usage_service_pb2 import ExportUsageResponse
from malha.api.run.v1.record_pb2 import StepKind
from malha.cli import export, sheet
from malha.cli.render import figures
from malha.cli.report import markdown, sections, text
from malha.cli.usage import By, Form, bars, tell_grouped
from malha.client import Client, ErrorReason, MalhaError

ROWS = [
    UsageRow(name="writer", version="2", calls=3, input_tokens=1_500, amount_microusd=750_000, share=0.75),
    UsageRow(name="=cmd", calls=1, output_tokens=20, amount_microusd=250_000, share=0.25),
]
RECORD = MeteredUsage(
    id="abc",
    sequence=7,
    time=Timestamp(seconds=1_768_478_400, nanos=5_000),
    kind="correction",
    key="ana/r/1/1/1",
    amount_microusd=-200,
)


def test_groups_are_told_to_programs_in_whole_micro_dollars(capsys: pytest.CaptureFixture[str]) -> None:
    tell_grouped(ROWS, By.AGENT, Form.JSON)
    first, second = json.loads(capsys.readouterr().out)
    assert (first["agent"], first["version"], first["amount_microusd"]) == ("writer", "2", 750_000)
    assert second["agent"] == "=cmd", "only spreadsheets run what they read"


def test_a_sheet_runs_nothing_and_ends_its_lines_as_rfc_4180_says() -> None:
    written = io.StringIO(newline="")
    rows = [{"name": "=1+1", "amount": -5}, {"name": 'a "b", c', "amount": 0}]
    sheet.write(("name", "amount"), rows, written)
    assert written.getvalue() == 'name,amount\r\n\'=1+1,-5\r\n"a ""b"", c",0\r\n'


@given(st.text())
def test_no_text_in_a_sheet_begins_a_formula_and_each_is_read_back(value: str) -> None:
    written = io.StringIO(newline="")
    sheet.write(("name",), [{"name": value}], written)
    [_, [read]] = csv.reader(io.StringIO(written.getvalue(), newline=""))
    assert not read.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert read.removeprefix("'") == value.removeprefix("'")


def test_a_table_says_what_each_group_spent_and_its_share(capsys: pytest.CaptureFixture[str]) -> None:
    tell_grouped(ROWS, By.AGENT, Form.TABLE)
    told = capsys.readouterr().out
    assert "writer 2" in told
    assert "75.0%" in told
    assert "cached" not in told, "there were none"


def test_a_bar_is_as_long_as_its_group_is_dear_and_money_given_back_has_none() -> None:
    lines = bars([("a", 400), ("longer", 100), ("back", -5)])
    assert [line.count("█") for line in lines] == [40, 10, 0]
    assert lines[2].endswith("-$0.000005")


class BreaksOff:
    """A client that gives one page, and then the mesh is away."""

    async def metered_usage(self, **_: object) -> AsyncIterator[ExportUsageResponse]:
        yield ExportUsageResponse(records=[RECORD], next=7, more=True)
        raise MalhaError(ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE, "the mesh is away")


@pytest.fixture
def one_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: Callable[[Client], Coroutine[None, None, int]], **_: object) -> None:
        asyncio.run(command(cast(Client, BreaksOff())))

    monkeypatch.setattr(export, "run", run)


@pytest.mark.usefixtures("one_page")
@pytest.mark.parametrize("form", [export.Form.JSONL, export.Form.CSV])
def test_an_export_onto_a_full_disk_says_to_go_on_where_it_began(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], form: export.Form
) -> None:
    full = io.TextIOWrapper(io.BufferedWriter(io.FileIO("/dev/full", "w")))
    monkeypatch.setattr(sys, "stdout", full)
    with pytest.raises(OSError, match="No space left"):
        export.export(form=form)
    assert capsys.readouterr().err == "malha: the export broke off; go on with --after 0\n"
    with pytest.raises(OSError, match="No space left"):
        full.close()


@pytest.mark.usefixtures("one_page")
def test_an_export_that_breaks_off_says_where_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MalhaError):
        export.export()
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1
    assert said.err == "malha: the export broke off; go on with --after 7\n"


def test_a_record_is_a_line_of_the_contracts_fields_with_a_time_to_the_microsecond() -> None:
    told = json.loads(export.line(export.values(RECORD)))
    assert list(told) == [field.name for field in MeteredUsage.DESCRIPTOR.fields]
    assert told["time"] == "2026-01-15T12:00:00.000005Z"
    assert told["amount_microusd"] == -200


def test_a_record_is_a_meter_event_as_stripe_takes_them() -> None:
    assert export.meter_event(RECORD, "tokens", "cus_1") == {
        "event_name": "tokens",
        "identifier": "abc",
        "timestamp": 1_768_478_400,
        "payload": {"stripe_customer_id": "cus_1", "value": "-200"},
    }


REPORT = DailyReport(
    day="2026-01-15",
    spent_microusd=1_000_000,
    day_before_microusd=1_500_000,
    limit_microusd=4_000_000,
    runs=1,
    agents=ROWS,
    query_costs=[QueryCost(agent="writer", runs=1, average_microusd=5, p50_microusd=5, p95_microusd=5)],
    uncertain=Uncertain(provisional_calls=2, provisional_microusd=30),
    recommendations=[
        Recommendation(subject="writer", change="do it", arithmetic="2 * 3", saves_microusd=6),
        Recommendation(subject="writer", change="do that", arithmetic="1 * 1", frees_microusd=1),
    ],
)


def test_a_report_says_what_was_spent_against_limit_and_day_before_and_what_to_change() -> None:
    told = "\n".join(text(sections(REPORT)))
    for said in (
        "$1.000000 were spent in 1 run.",
        "$0.500000 less than the day before",
        "25.0% of it",
        "2 calls without a known outcome",
        "writer: do it; that saves at most $0.000006. 2 * 3.",
        "writer: do that; that frees $0.000001 that was held. 1 * 1.",
    ):
        assert said in told
    assert "Tools" not in told, "there were none"


def test_the_heading_of_a_reports_numbers_ends_where_they_end() -> None:
    report = DailyReport(day="2026-01-15", agents=[UsageRow(name="an agent", calls=12_345_678)])
    heading, row = list(text(sections(report)))[-2:]
    assert heading.index("calls") + len("calls") == row.index("12,345,678") + len("12,345,678")
    assert heading.index("name") == row.index("an agent")


def test_a_report_as_a_page_is_markdown_in_which_names_stay_names() -> None:
    report = DailyReport(day="2026-01-15", tools=[UsageRow(name="a|b_c")])
    page = list(markdown(sections(report)))
    assert page[0] == "# What 2026-01-15 cost"
    assert r"| a\|b\_c | 0 | 0 | $0.000000 | 0.0% |" in page


def test_a_run_says_what_its_models_and_its_tools_cost_where_both_did() -> None:
    run = Run(run_id="r", cost=Cost(amount_microusd=5))
    run.steps.add(kind=StepKind.STEP_KIND_MODEL, cost=Cost(amount_microusd=5))
    run.steps.add(kind=StepKind.STEP_KIND_TOOL)
    assert "models" not in figures(run)
    run.steps.add(kind=StepKind.STEP_KIND_TOOL, cost=Cost(amount_microusd=3))
    assert "(models $0.000005, tools $0.000003)" in figures(run)
