"""``malha prices``: what models cost, who says so, and what a call would come to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from malha.api.cost.v1.price_pb2 import Price, Quote
from malha.cli.session import console, run
from malha.cli.terminal import whole
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
    """Show what models and a call of them cost, and who says so. Needs the scope admin."""

    async def main(client: Client) -> int:
        quotes = await client.prices(
            model,
            input_tokens=input_tokens,
            cached_input_tokens=cached_tokens,
            output_tokens=output_tokens,
            batch=batch,
        )
        tell(quotes, asked, one=bool(model), as_json=as_json)
        return 0

    asked = f"{input_tokens:,} in and {output_tokens:,} out"
    run(main)


def tell(quotes: Sequence[Quote], asked: str, *, one: bool, as_json: bool) -> None:
    """Print them.

    Args:
        asked: the call they are of, in words.
        one: all there is to know of each, in place of a line.
    """
    if as_json:
        typer.echo(json.dumps([_plain(quote) for quote in quotes]))
    elif one:
        for quote in quotes:
            for line in _sheet(quote, asked):
                console.print(line, highlight=False, markup=False, soft_wrap=True)
    else:
        table = Table("model", "input", "cached", "output", asked, caption="dollars per million tokens")
        for column in table.columns[1:]:
            column.justify, column.no_wrap = "right", True
        for quote in quotes:
            shortest = quote.price.rates[0]
            amounts = map(per_million, (shortest.input, shortest.cached_input, shortest.output))
            table.add_row(escape(_name(quote.price)), *amounts, usd(quote.amount_microusd))
        whole(console, table)


def _plain(quote: Quote) -> dict[str, object]:
    """For programs: numbers are numbers, in micro-dollars, rates in micro-dollars per billion tokens."""
    price = quote.price
    names = ("provider", "model", "row", "effective_from", "reasons", "source", "url", "retrieved")
    plain: dict[str, object] = {name: getattr(price, name) for name in names}
    plain["rates"] = [
        {field.name: getattr(rates, field.name) for field in rates.DESCRIPTOR.fields} for rates in price.rates
    ]
    return plain | {"amount_microusd": quote.amount_microusd, "ceiling_microusd": quote.ceiling_microusd}


def _sheet(quote: Quote, asked: str) -> Iterator[str]:
    price = quote.price
    yield f"{_name(price)} since {price.effective_from or 'ever'}, per million tokens:"
    for rates in price.rates:
        longer = f"; all of a call with more than {rates.above:,} in" if rates.above else ""
        cached = f"{per_million(rates.cached_input)} in from a cache"
        yield f"  {per_million(rates.input)} in, {cached}, {per_million(rates.output)} out{longer}"
    if price.reasons:
        yield "  it thinks in tokens that are billed as output and not shown"
    yield f"source: {price.source}" + (f", read {price.retrieved}" if price.retrieved else "")
    if price.url:
        yield f"        {price.url}"
    yield f"in the ledger: {price.row}"
    yield f"{asked} cost {usd(quote.amount_microusd)}, of {usd(quote.ceiling_microusd)} reserved"


def _name(price: Price) -> str:
    return f"{price.provider}/{price.model}"


def per_million(rate: int) -> str:
    """A rate as dollars per million tokens, exactly: "$0.15"."""
    whole, rest = divmod(rate, _PER_MILLION)
    cents = f"{rest:09}".rstrip("0").ljust(2, "0")
    return f"${whole:,}.{cents}"
