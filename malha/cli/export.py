"""``malha export``: what is to be billed, record by record, to be replayed as often as anybody likes.

A record is printed in the same bytes whenever it is asked for: its fields stand in the contract's order, and
none of them depends on when or how it was exported.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from malha.api.cost.v1.metering_pb2 import MeteredUsage
from malha.cli import sheet
from malha.cli.session import run
from malha.client import Client


class Form(StrEnum):
    """How a record is written."""

    JSONL = "jsonl"
    CSV = "csv"
    STRIPE = "stripe"


_FIELDS = tuple(field.name for field in MeteredUsage.DESCRIPTOR.fields)


def export(
    since: Annotated[str, typer.Option(help="First day, YYYY-MM-DD; else from the beginning.")] = "",
    until: Annotated[str, typer.Option(help="Last day; else to the end.")] = "",
    after: Annotated[int, typer.Option(help="Where an earlier export ended.", min=0)] = 0,
    form: Annotated[Form, typer.Option(help="How a record is written.")] = Form.JSONL,
    customer: Annotated[str, typer.Option(help="For stripe: the customer's id, such as cus_123.")] = "",
    event: Annotated[str, typer.Option(help="For stripe: the meter's event name.")] = "malha_microusd",
) -> None:
    """Print what is to be billed, a record for each ledger entry. Needs the scope admin.

    The last line, on the error stream, says where to go on. A record that comes again has the same id.
    """
    if form == Form.STRIPE and not customer:
        raise typer.BadParameter("name the customer whose meter it is: --customer cus_...")

    async def main(client: Client) -> int:
        place, heading, outcome = after, form == Form.CSV, "the export broke off"
        try:
            async for page in client.metered_usage(after=after, since=since, until=until):
                if form == Form.CSV:
                    write_sheet(page.records, heading=heading)
                    heading = False
                else:
                    for record in page.records:
                        told = values(record) if form == Form.JSONL else meter_event(record, event, customer)
                        typer.echo(line(told))
                sys.stdout.flush()  # what is not written down yet was not exported
                place = page.next
            outcome = "all that is committed was exported"
        finally:
            typer.echo(f"malha: {outcome}; go on with --after {place}", err=True)
        return 0

    run(main)


def values(record: MeteredUsage) -> dict[str, object]:
    """A record's fields, in the contract's order."""
    return {name: _instant(record.time) if name == "time" else getattr(record, name) for name in _FIELDS}


def meter_event(record: MeteredUsage, event_name: str, customer: str) -> dict[str, object]:
    """The record as a meter event of Stripe, in micro-dollars
    (https://docs.stripe.com/api/billing/meter-event/create)."""
    return {
        "event_name": event_name,
        "identifier": record.id,
        "timestamp": record.time.seconds,
        "payload": {"stripe_customer_id": customer, "value": str(record.amount_microusd)},
    }


def line(told: Mapping[str, object]) -> str:
    """One line of JSON."""
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False)


def write_sheet(records: Iterable[MeteredUsage], *, heading: bool) -> None:
    """Write records as comma-separated values."""
    sheet.write(_FIELDS, map(values, records), sys.stdout, heading=heading)


def _instant(time: Timestamp) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    return f"{time.ToDatetime().isoformat(timespec='microseconds')}Z"
