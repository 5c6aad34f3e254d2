"""``malha usage``: what was spent, for people, for programs and for a glance."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

from malha.api.cost.v1.usage_pb2 import DayUsage
from malha.cli.session import console, run
from malha.client import Client

_WIDTH = 40
_EIGHTHS = " ▏▎▍▌▋▊▉█"


class Form(StrEnum):
    """How it is told."""

    TABLE = "table"
    CHART = "chart"
    JSON = "json"
    CSV = "csv"


def usage(
    since: Annotated[str, typer.Option(help="First day, YYYY-MM-DD; else 29 days before the last.")] = "",
    until: Annotated[str, typer.Option(help="Last day; else today.")] = "",
    form: Annotated[Form, typer.Option(help="How it is told.")] = Form.TABLE,
) -> None:
    """Show what the tenant spent, day by day in its time zone. Needs the scope admin."""

    async def main(client: Client) -> int:
        tell(await client.usage(since, until), form)
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
    if form == Form.JSON:
        typer.echo(json.dumps(rows))
    elif form == Form.CSV:
        names = ("day", "spent_microusd", "reserved_microusd", "used_tokens")
        writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    elif not days:
        console.print("nothing was spent")
    elif form == Form.CHART:
        for line in chart(days):
            console.print(line, highlight=False, markup=False)
    else:
        table = Table("day", "spent", "held", "tokens")
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
        console.print(table)


def chart(days: Sequence[DayUsage]) -> list[str]:
    """A bar for each day from the first to the last, also for those without a call."""
    spent = {day.day: day.spent_microusd for day in days}
    most = max(*spent.values(), 1)
    day, last = date.fromisoformat(days[0].day), date.fromisoformat(days[-1].day)
    lines = []
    while day <= last:
        amount = spent.get(day.isoformat(), 0)
        full, eighth = divmod(amount * _WIDTH * 8 // most, 8)
        bar = _EIGHTHS[8] * full + _EIGHTHS[eighth].strip()
        lines.append(f"{day.isoformat()}  {bar:<{_WIDTH}}  {usd(amount)}")
        day += timedelta(days=1)
    return lines


def usd(microusd: int) -> str:
    """Micro-dollars as dollars, exactly."""
    return f"${microusd // 1_000_000:,}.{microusd % 1_000_000:06}"
