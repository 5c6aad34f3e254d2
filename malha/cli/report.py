"""``malha report``: what a day cost, on what, and what would cost less."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, NamedTuple

import typer
from google.protobuf.json_format import MessageToJson

from malha.api.cost.v1.report_pb2 import DailyReport, Recommendation
from malha.api.cost.v1.usage_pb2 import UsageRow
from malha.cli.session import run
from malha.cli.terminal import shown
from malha.cli.usage import title, usd
from malha.client import Client


class Form(StrEnum):
    """How it is told."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


class Section(NamedTuple):
    """A part of a report: sentences, and a table where it has one."""

    heading: str
    sentences: Sequence[str] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def report(
    day: Annotated[str, typer.Option(help="YYYY-MM-DD in the tenant's time zone; else today.")] = "",
    form: Annotated[Form, typer.Option(help="How it is told.")] = Form.TEXT,
) -> None:
    """Report what a day cost, on what, and what would cost less. Needs the scope admin."""

    async def main(client: Client) -> int:
        told = await client.daily_report(day)
        if form == Form.JSON:
            typer.echo(
                MessageToJson(
                    told, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
                )
            )
        else:
            lines = markdown if form == Form.MARKDOWN else text
            typer.echo("\n".join(lines(sections(told))))
        return 0

    run(main)


def sections(told: DailyReport) -> Iterator[Section]:
    """The report in its parts; parts of which there is nothing to say are left out."""
    yield Section(f"What {told.day} cost", list(_in_all(told)))
    for heading, rows in (
        ("Agents", told.agents),
        ("Models", told.models),
        ("Tools", told.tools),
        ("Components", told.components),
    ):
        if rows:
            yield Section(heading, (), ("name", "calls", "tokens", "spent", "share"), [*map(_row, rows)])
    if told.query_costs:
        columns = ("agent", "component", "runs", "average", "half cost up to", "95% cost up to")
        yield Section(
            "What a run costs",
            (),
            columns,
            [
                (
                    cost.agent or "(none)",
                    cost.component or "all",
                    f"{cost.runs:,}",
                    *map(usd, (cost.average_microusd, cost.p50_microusd, cost.p95_microusd)),
                )
                for cost in told.query_costs
            ],
        )
    if told.recommendations:
        yield Section("What to change", [_advice(advice) for advice in told.recommendations])


def text(parts: Iterator[Section]) -> Iterator[str]:
    """The parts for a terminal."""
    for place, part in enumerate(parts):
        yield from ([""] if place else [])
        yield shown(part.heading)
        yield from (f"  {shown(sentence)}" for sentence in part.sentences)
        if part.columns:
            columns = zip(part.columns, *part.rows, strict=True)
            for line in zip(*map(_aligned, columns), strict=True):
                yield "  " + "  ".join(line).rstrip()


def markdown(parts: Iterator[Section]) -> Iterator[str]:
    """The parts as a page."""
    for place, part in enumerate(parts):
        yield from ([""] if place else [])
        yield f"{'##' if place else '#'} {part.heading}"
        yield ""
        yield from (f"- {_escaped(sentence)}" for sentence in part.sentences)
        if part.columns:
            yield _line(part.columns)
            yield _line(["---"] * len(part.columns))
            yield from map(_line, part.rows)


def _in_all(told: DailyReport) -> Iterator[str]:
    change = told.spent_microusd - told.day_before_microusd
    yield f"{usd(told.spent_microusd)} were spent in {told.runs:,} run{'s' if told.runs != 1 else ''}."
    yield (
        f"That is {usd(abs(change))} {'more' if change >= 0 else 'less'} than the day before"
        f" ({usd(told.day_before_microusd)})."
    )
    if told.HasField("limit_microusd"):
        share = f", {told.spent_microusd / told.limit_microusd:.1%} of it" if told.limit_microusd else ""
        yield f"The daily limit is {usd(told.limit_microusd)}{share}."
    saved = told.savings
    yield (
        f"Kept answers saved {usd(saved.kept_answers_microusd)}, prompt caches of providers"
        f" {usd(saved.cached_input_microusd)}."
    )
    unsure = told.uncertain
    if unsure.provisional_calls:
        yield (
            f"{unsure.provisional_calls:,} calls without a known outcome are settled at their ceilings,"
            f" {usd(unsure.provisional_microusd)}."
        )
    if unsure.overrun_calls:
        yield (
            f"{unsure.overrun_calls:,} calls used more than was reserved for them, by"
            f" {usd(unsure.overrun_microusd)}."
        )


def _row(row: UsageRow) -> tuple[str, ...]:
    tokens = row.input_tokens + row.output_tokens
    return title(row), f"{row.calls:,}", f"{tokens:,}", usd(row.amount_microusd), f"{row.share:.1%}"


def _advice(advice: Recommendation) -> str:
    worth = (
        f"saves at most {usd(advice.saves_microusd)}"
        if advice.saves_microusd
        else f"frees {usd(advice.frees_microusd)} that was held"
    )
    return f"{advice.subject}: {advice.change}; that {worth}. {advice.arithmetic}."


def _aligned(column: Sequence[str]) -> list[str]:
    """A column's heading and cells at one width; one of numbers to the right."""
    cells = [shown(cell) for cell in column]
    width = max(map(len, cells))
    numbers = all(cell[:1] in "$-0123456789" for cell in cells[1:])
    return [cell.rjust(width) if numbers else cell.ljust(width) for cell in cells]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(cell: str) -> str:
    """Text that stays text on a page, and orders a terminal nothing."""
    return "".join(f"\\{letter}" if letter in r"\`*_[]<>|" else letter for letter in shown(cell))
