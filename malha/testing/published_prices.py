"""Prices as `genai-prices` publishes them, written as the cost service reads them.

    python -m malha.testing.published_prices > services/cost/malha_cost/prices.yaml

The package (MIT) gathers them from the providers' pages. The service reads a file of its own instead of the
package: that brings two megabytes of Python for all providers there are, an HTTP client that fetches newer
prices, and no row that a person could review.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import TypeAlias

from genai_prices.data import providers
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
)

HEADER = """\
# What models cost, in dollars per million tokens. Made by `make prices` of the offline table of
# genai-prices (MIT); a test holds it to that. Amounts are quoted: they are read as decimals.
#
# A row holds from its date (UTC) until the next row of the same model; without one, from ever on.
# "also" lists further names of the same model. "*" is any model of the provider without a row.
# "above" has the rates of a whole call whose input is longer than so many tokens, "batch" those of the
# provider's batch interface. "reasons" marks models that think in tokens they bill and do not show.
#
# Left out: prices by the time of day, of audio, images and searches that a provider makes by itself. What
# is left out is refused with PRICE_UNKNOWN, never guessed. Where a provider writes its prompt cache unasked
# and bills that (OpenAI from gpt-5.6 on), input is priced as written to it: no usage tells the one from
# the other.
"""
OFFLINE = """\
  # The offline model is arithmetic on this machine: it has a price, and the price is zero.
  - {provider: offline, model: "*", input: "0", output: "0", free: true, source: this machine}
"""
TEXT = {"openai": r"gpt-|o\d|text-embedding", "anthropic": r"claude-", "google": r"gemini-|text-embedding"}
"""What answers in text, or embeds it, of the providers that Malha has a use for."""
OTHER = r"audio|image|realtime|live|tts|transcribe|video|robotics|banana|omni-|search|research|\.ft-"
"""What answers otherwise, or searches by itself and bills each search."""
REASONS = {"openai": r"o\d|gpt-([5-9]|oss)", "google": r"gemini-(2\.5|[3-9])"}
"""Models that think unasked. The table does not say; the providers' pages do."""
WRITES_ITS_CACHE = {"openai"}
SNAPSHOTS = {
    "anthropic": (
        *("claude-3-5-haiku-20241022", "claude-3-5-sonnet-20240620", "claude-3-5-sonnet-20241022"),
        *("claude-3-7-sonnet-20250219", "claude-3-haiku-20240307", "claude-3-opus-20240229"),
        *("claude-haiku-4-5-20251001", "claude-opus-4-1-20250805", "claude-opus-4-5-20251101"),
        *("claude-sonnet-4-20250514", "claude-sonnet-4-5-20250929"),
    )
}
"""Full names of models that the table knows by how they begin."""

_Amount: TypeAlias = "Decimal | TieredPrices | None"


def table(retrieved: date) -> str:
    """The file, with prices as the installed package has them.

    Args:
        retrieved: when they are taken from there.
    """
    known = [provider for provider in providers if provider.id in TEXT]
    urls = [f"  {provider.id}: {provider.pricing_urls[0]}" for provider in known if provider.pricing_urls]
    return "\n".join(
        [
            f"{HEADER}source: genai-prices {version('genai-prices')}",
            f"retrieved: {retrieved}",
            "urls:",
            *urls,
            f"prices:\n{OFFLINE}",
            *(f"  - {{{row}}}" for provider in known for row in _rows(provider, retrieved)),
            "",
        ]
    )


def _rows(provider: Provider, today: date) -> Iterator[str]:
    for model in provider.models:
        starts = _starts(model)
        if not starts or not re.match(TEXT[provider.id], model.id) or re.search(OTHER, model.id):
            continue
        names = _names(provider, model)
        current = max(start for start in starts if start <= today)
        for start in starts:
            price = model.get_prices(_noon(max(start, date(2000, 1, 1))))
            if price.input_mtok is None:
                continue
            fields = {"provider": provider.id, "model": model.id}
            if names:
                fields["also"] = f"[{', '.join(names)}]"
            if start > date.min:
                fields["from"] = str(start)
            fields |= _rates(provider.id, price)
            if start == current:
                batch = model.get_prices(_noon(today), {"processing": "batch"})
                cheaper = _rates(provider.id, batch)
                if cheaper != _rates(provider.id, price):
                    fields["batch"] = _flow(cheaper)
            if (thinks := REASONS.get(provider.id)) and re.match(thinks, model.id):
                fields["reasons"] = "true"
            yield _flow(fields)[1:-1]


def _rates(provider: str, price: ModelPrice) -> dict[str, str]:
    amounts = price.input_mtok, price.cache_read_mtok, price.output_mtok
    written = price.cache_write_mtok if provider in WRITES_ITS_CACHE else None
    lengths = {tier.start for amount in amounts if isinstance(amount, TieredPrices) for tier in amount.tiers}
    found = _three(amounts, written, 0)
    above = {str(length): _flow(_three(amounts, written, length)) for length in sorted(lengths)}
    return {**found, "above": _flow(above)} if above else found


def _three(amounts: Sequence[_Amount], written: _Amount, above: int) -> dict[str, str]:
    fresh, cached, output = (_at(amount, above) for amount in amounts)
    if written is not None:
        fresh = max(fresh or Decimal(0), _at(written, above) or Decimal(0))
    told = {"input": fresh, "cached_input": cached, "output": output or Decimal(0)}
    return {name: f'"{amount.normalize():f}"' for name, amount in told.items() if amount is not None}


def _at(amount: _Amount, above: int) -> Decimal | None:
    """The amount of calls just longer than so many tokens."""
    if not isinstance(amount, TieredPrices):
        return amount
    reached = [tier.price for tier in amount.tiers if tier.start <= above]
    return reached[-1] if reached else amount.base


def _starts(model: ModelInfo) -> list[date]:
    """First days of the model's prices; none where they change by the time of day."""
    if isinstance(model.prices, ModelPrice):
        return [date.min]
    constraints = [conditional.constraint for conditional in model.prices]
    days = [one.start_date for one in constraints if isinstance(one, StartDateConstraint)]
    return sorted([date.min, *days]) if len(days) == sum(one is not None for one in constraints) else []


def _names(provider: Provider, model: ModelInfo) -> list[str]:
    clauses = model.match.or_ if isinstance(model.match, ClauseOr) else [model.match]
    names = [clause.equals for clause in clauses if isinstance(clause, ClauseEquals)]
    names += [name for name in SNAPSHOTS.get(provider.id, ()) if provider.find_model(name) is model]
    return [
        name
        for name in dict.fromkeys(names)
        if name != model.id and not re.search(OTHER, name) and provider.find_model(name) is model
    ]


def _noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def _flow(fields: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{name}: {text}' for name, text in fields.items())}}}"


if __name__ == "__main__":
    sys.stdout.write(table(datetime.now(UTC).date()))
