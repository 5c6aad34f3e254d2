"""``malha prices``: what models cost, who says so, and what a call would come to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from rich.table import Table

from malha.api.cost.v1.price_pb2 import Price, Quote
from malha.cli.session import console, run
from malha.cli.usage import usd
from malha.client import Client

_PER_MILLION = 10**9
"""Micro-dollars per billion tokens that are a dollar per million."""


def prices(
    model: Annotated[str, typer.Argument(help="NAME or PROVIDER/NAME; else all.")] = "",
    input_tokens: Annotated[int, typer.Option("--input", help="Input tokens of a call.", min=0)] = 1000,
    cached_tokens: Annotated[int, typer.Option("--cached", help="Of these from a cache.", min=0)] = 0,
    output_tokens: Annotated[int, typer.Option("--output", help="Output tokens of it.", min=0)] = 1000,
    batch: Annotated[bool, typer.Option("--batch", help="As a call of the batch interface.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Show what models cost today, where that was read, and what a call would cost. Needs the scope admin."""

    async def main(client: Client) -> int:
        quotes = await client.prices(
            model,
            input_tokens=input_tokens,
            cached_input_tokens=cached_tokens,
            output_tokens=output_tokens,
            batch=batch,
        )
        if as_json:
            typer.echo(json.dumps([MessageToDict(q, preserving_proto_field_name=True) for q in quotes]))
        elif model:
            for quote in quotes:
                _tell(quote, input_tokens, output_tokens)
        else:
            _list(quotes, input_tokens, output_tokens)
        return 0

    run(main)


def _list(quotes: Sequence[Quote], input_tokens: int, output_tokens: int) -> None:
    called = f"{input_tokens:,} in, {output_tokens:,} out"
    table = Table("model", "input", "cached", "output", called, caption="dollars per million tokens")
    for column in table.columns[1:]:
        column.justify = "right"
    for quote in quotes:
        shortest = quote.price.rates[0]
        amounts = (per_million(rate) for rate in (shortest.input, shortest.cached_input, shortest.output))
        table.add_row(_name(quote.price), *amounts, usd(quote.amount_microusd))
    console.print(table)


def _tell(quote: Quote, input_tokens: int, output_tokens: int) -> None:
    price = quote.price
    lines = [f"{_name(price)} since {price.effective_from or 'ever'}, per million tokens:"]
    for rates in price.rates:
        longer = f", all of a call with more than {rates.above:,} in" if rates.above else ""
        lines.append(
            f"  {per_million(rates.input)} in, {per_million(rates.cached_input)} in from a cache, "
            f"{per_million(rates.output)} out{longer}"
        )
    if price.reasons:
        lines.append("  it thinks in tokens that are billed as output and not shown")
    retrieved = f", read {price.retrieved}" if price.retrieved else ""
    lines.append(f"source: {price.source}{retrieved}")
    if price.url:
        lines.append(f"        {price.url}")
    lines.append(f"in the ledger: {price.row}")
    lines.append(
        f"{input_tokens:,} in and {output_tokens:,} out cost {usd(quote.amount_microusd)}; "
        f"{usd(quote.ceiling_microusd)} would be reserved"
    )
    for line in lines:
        console.print(line, highlight=False, markup=False)


def _name(price: Price) -> str:
    return f"{price.provider}/{price.model}"


def per_million(rate: int) -> str:
    """A rate as dollars per million tokens, exactly: "$0.15"."""
    whole, rest = divmod(rate, _PER_MILLION)
    cents = f"{rest:09}".rstrip("0").ljust(2, "0")
    return f"${whole:,}.{cents}"
