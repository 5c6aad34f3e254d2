"""``malha alerts``: what people must hear of about money."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from rich.markup import escape
from rich.table import Table

from malha.api.event.v1.alert_pb2 import Alert
from malha.cli.session import console, run
from malha.cli.terminal import whole
from malha.cli.usage import usd
from malha.client import Client


def alerts(
    limit: Annotated[int, typer.Option(help="How many, at most 100.", min=1, max=100)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line each.")] = False,
) -> None:
    """List alerts about the tenant's money, the newest first. Needs the scope admin."""

    async def main(client: Client) -> int:
        found = await client.alerts(limit=limit)
        if as_json:
            for alert in found:
                typer.echo(json.dumps(MessageToDict(alert, preserving_proto_field_name=True)))
            return 0
        if found:
            whole(console, listing(found))
        else:
            console.print("no alerts")
        return 0

    run(main)


def listing(alerts: Sequence[Alert]) -> Table:
    """Alerts as a table."""
    table = Table("time", "alert", "what")
    for alert in alerts:
        at = alert.time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(at, alert.type.replace("_", " "), escape(said(alert)))
    return table


def said(alert: Alert) -> str:
    """What happened, in a line."""
    if alert.scope == "quota":
        return f"quota: {alert.used_tokens:,} of {alert.limit_tokens:,} tokens this month"
    if alert.scope:
        whose = " ".join(filter(None, (alert.scope, alert.scope_id)))
        window = f"rolling {alert.window}" if alert.rolling else alert.window
        return f"{whose}: {usd(alert.spent_microusd)} of {usd(alert.limit_microusd)} by {window}"
    usual = f"{usd(alert.spent_microusd)}, usually {usd(alert.usual_microusd)}"
    if alert.run_id:
        calls = f"{alert.calls} calls, usually {alert.usual_calls}"
        return f"run {alert.run_id} of {alert.agent}: {usual}; {calls}"
    return f"{alert.agent or 'all agents'} since {alert.hour.ToDatetime():%H:%M} UTC: {usual}"
