"""``malha usage``: what was spent, for people, for programs and for a glance."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from malha.api.cost.v1.usage_pb2 import DayUsage, UsageGroup, UsageRow
from malha.cli import sheet
from malha.cli.session import console, run
from malha.cli.terminal import whole
from malha.client import Client

_WIDTH = 40
_EIGHTHS = " ▏▎▍▌▋▊▉█"


class Form(StrEnum):
    """How it is told."""

    TABLE = "table"
    CHART = "chart"
    JSON = "json"
    CSV = "csv"


class By(StrEnum):
    """What a row stands for."""

    DAY = "day"
    AGENT = "agent"
    MODEL = "model"
    TOOL = "tool"
    COMPONENT = "component"
    TENANT = "tenant"
    KEY = "key"


_GROUPS = {
    By.DAY: UsageGroup.USAGE_GROUP_DAY,
    By.AGENT: UsageGroup.USAGE_GROUP_AGENT,
    By.MODEL: UsageGroup.USAGE_GROUP_MODEL,
    By.TOOL: UsageGroup.USAGE_GROUP_TOOL,
    By.COMPONENT: UsageGroup.USAGE_GROUP_COMPONENT,
    By.TENANT: UsageGroup.USAGE_GROUP_TENANT,
    By.KEY: UsageGroup.USAGE_GROUP_KEY,
}


def usage(
    since: Annotated[str, typer.Option(help="First day, YYYY-MM-DD; else 29 days before the last.")] = "",
    until: Annotated[str, typer.Option(help="Last day; else today.")] = "",
    by: Annotated[
        By | None, typer.Option(help="Group what was settled; else days, with what is still held.")
    ] = None,
    form: Annotated[Form, typer.Option(help="How it is told.")] = Form.TABLE,
) -> None:
    """Show what the tenant spent, by its own days or grouped. Needs the scope admin."""

    async def main(client: Client) -> int:
        if by is None:
            tell(await client.usage(since, until), form)
        else:
            tell_grouped(await client.usage_by(_GROUPS[by], since, until), by, form)
        return 0

    run(main)


def tell(days: Sequence[DayUsage], form: Form) -> None:
    """Print the days."""
    rows = [
        {
            "day": day.day,
            "spent_microusd": day.spent_microusd,
            "reserved_microusd": day.reserved_microusd,
            "used_tokens": day.used_tokens,
        }
        for day in days
    ]
    names = ("day", "spent_microusd", "reserved_microusd", "used_tokens")
    if told(names, rows, form):
        return
    if not days:
        console.print("nothing was spent")
    elif form == Form.CHART:
        draw(chart(days))
    else:
        table = Table("day", "spent", "held", "tokens")
        for column in table.columns:
            column.no_wrap = True
        for column in table.columns[1:]:
            column.justify = "right"
        for day in days:
            table.add_row(
                day.day, usd(day.spent_microusd), usd(day.reserved_microusd), f"{day.used_tokens:,}"
            )
        table.add_section()
        table.add_row(
            "in all",
            usd(sum(day.spent_microusd for day in days)),
            usd(sum(day.reserved_microusd for day in days)),
            f"{sum(day.used_tokens for day in days):,}",
        )
        whole(console, table)


_MEASURES = (
    "calls",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "amount_microusd",
    "saved_microusd",
)


def tell_grouped(rows: Sequence[UsageRow], by: By, form: Form) -> None:
    """Print the groups."""
    named = (by.value, "version") if by == By.AGENT else (by.value,)
    values = [
        dict(zip(named, (row.name, row.version), strict=False))
        | {measure: getattr(row, measure) for measure in _MEASURES}
        | {"share": round(row.share, 6)}
        for row in rows
    ]
    if told((*named, *_MEASURES, "share"), values, form):
        return
    if not rows:
        console.print("nothing was spent")
    elif form == Form.CHART:
        draw(bars([(title(row), row.amount_microusd) for row in rows]))
    else:
        whole(console, table_of(rows, by.value))


def table_of(rows: Sequence[UsageRow], heading: str) -> Table:
    """The groups as a table; of tokens, the kinds that there are."""
    kinds = {
        "calls": [row.calls for row in rows],
        "input": [row.input_tokens for row in rows],
        "cached": [row.cached_input_tokens for row in rows],
        "output": [row.output_tokens for row in rows],
        "reasoning": [row.reasoning_tokens for row in rows],
    }
    told = {kind: counts for kind, counts in kinds.items() if any(counts)}
    table = Table(heading, *told, "spent", "share", box=SIMPLE_HEAD, pad_edge=False)
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for place, row in enumerate(rows):
        counts = (f"{counts[place]:,}" for counts in told.values())
        table.add_row(escape(title(row)), *counts, usd(row.amount_microusd), f"{row.share:.1%}")
    return table


def title(row: UsageRow) -> str:
    """What a group is called."""
    return f"{row.name or '(none)'}{f' {row.version}' if row.version else ''}"


def told(names: Sequence[str], rows: Sequence[Mapping[str, object]], form: Form) -> bool:
    """Print rows for a program; whether that was asked for."""
    if form == Form.JSON:
        typer.echo(json.dumps(rows))
    elif form == Form.CSV:
        sheet.write(names, rows, sys.stdout)
    return form in (Form.JSON, Form.CSV)


def draw(lines: Sequence[str]) -> None:
    """Print a chart."""
    for line in lines:
        console.print(line, highlight=False, markup=False)


def chart(days: Sequence[DayUsage]) -> list[str]:
    """A bar for each day from the first to the last, also for those without a call."""
    spent = {day.day: day.spent_microusd for day in days}
    day, last = date.fromisoformat(days[0].day), date.fromisoformat(days[-1].day)
    all_days = [day + timedelta(days=count) for count in range((last - day).days + 1)]
    return bars([(day.isoformat(), spent.get(day.isoformat(), 0)) for day in all_days])


def bars(amounts: Sequence[tuple[str, int]]) -> list[str]:
    """A line for each name, with a bar of what it cost; what was given back has none."""
    most = max(*(amount for _, amount in amounts), 1)
    names = max(len(name) for name, _ in amounts)
    lines = []
    for name, amount in amounts:
        full, eighth = divmod(max(amount, 0) * _WIDTH * 8 // most, 8)
        bar = _EIGHTHS[8] * full + _EIGHTHS[eighth].strip()
        lines.append(f"{name:<{names}}  {bar:<{_WIDTH}}  {usd(amount)}")
    return lines


def usd(microusd: int) -> str:
    """Micro-dollars as dollars, exactly."""
    dollars, rest = divmod(abs(microusd), 1_000_000)
    return f"{'-' if microusd < 0 else ''}${dollars:,}.{rest:06}"
