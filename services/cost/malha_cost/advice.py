"""What to change and what it would have been worth: by a day's entries and the price table alone.

Nothing is guessed: each recommendation carries an amount, and the figures that make it. Whether a cheaper
model answers well enough is for an evaluation to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from malha.api.common.v1.usage_pb2 import Usage
from malha.api.cost.v1.report_pb2 import Recommendation
from malha_cost.prices import Price, PriceTable, Rates

_WORTHWHILE_PERCENT = 10
"""A model that saves a smaller share than this is not worth an evaluation."""
_BILLION = 1_000_000_000


class ModelCalls(NamedTuple):
    """A day's calls of one model by one agent at one price, settled by their true figures.

    Where a price changes with the length of the input, all are looked at as calls of their mean length.
    """

    agent: str
    component: str
    provider: str
    model: str
    rates: Rates
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    spent: int
    most_output: int
    """Tokens of the longest answer."""
    reserved_output: int
    """Tokens of output that were reserved, of all calls together."""
    repeated: int
    """Input tokens that the call before in the same run had as well, and that were paid as new. Prompts of
    a run begin alike, so this is the shorter of two prompts that follow each other, less what was cached."""

    @property
    def mean_input(self) -> int:
        """Tokens of input, a call."""
        return self.input_tokens // self.calls


class Unknown(NamedTuple):
    """A day's calls that are settled at their ceiling and not corrected, of one model or tool."""

    agent: str
    provider: str
    model: str
    calls: int
    spent: int


def recommendations(
    calls: Iterable[ModelCalls], unknown: Iterable[Unknown], prices: PriceTable, day: date
) -> list[Recommendation]:
    """What to change, that which saves the most first."""
    found = [advice for of in calls for advice in _of_calls(of, prices, day)]
    found += [_provisional(of) for of in unknown if of.spent]
    return sorted(found, key=lambda it: (-it.saves_microusd, -it.frees_microusd, it.subject))


def dollars(microusd: int) -> str:
    """Micro-dollars as dollars, exactly."""
    return f"${microusd // 1_000_000:,}.{microusd % 1_000_000:06}"


def _a_million(rate: int) -> str:
    """A rate as providers print it, in dollars per million tokens."""
    return f"${Decimal(rate) / _BILLION:f}"


def _of_calls(of: ModelCalls, prices: PriceTable, day: date) -> Iterator[Recommendation]:
    subject = f"{of.agent}: {of.provider}/{of.model}"
    used = Usage(
        input_tokens=of.input_tokens,
        cached_input_tokens=of.cached_tokens,
        output_tokens=of.output_tokens,
    )
    if cheaper := _cheaper(of, used, prices.of(of.provider, day)):
        cost = cheaper.rates.at(of.mean_input).cost(used)
        yield Recommendation(
            kind=Recommendation.KIND_CHEAPER_MODEL,
            subject=subject,
            change=f"try {cheaper.provider}/{cheaper.model}, if an evaluation finds its answers good enough",
            arithmetic=(
                f"{of.calls:,} calls used {of.input_tokens:,} input tokens, {of.cached_tokens:,} of them"
                f" cached, and {of.output_tokens:,} output tokens: {dollars(of.spent)} here,"
                f" {dollars(cost)} there"
            ),
            saves_microusd=of.spent - cost,
        )
    here = of.rates.at(of.mean_input)
    less = here.input - here.cached_input
    if saves := of.repeated * less // _BILLION:
        yield Recommendation(
            kind=Recommendation.KIND_PROMPT_CACHE,
            subject=subject,
            change="keep the beginnings of prompts the same, so that the provider finds them cached",
            arithmetic=(
                f"{of.repeated:,} input tokens came again in the next call of a run and were paid as new:"
                f" times {_a_million(less)} a million tokens between new and cached"
            ),
            saves_microusd=saves,
        )
    unused = of.reserved_output - of.calls * of.most_output
    if 2 * unused >= of.reserved_output and (frees := unused * here.output // _BILLION):
        yield Recommendation(
            kind=Recommendation.KIND_LOWER_CEILING,
            subject=subject,
            change=f"lower max_output_tokens towards {of.most_output:,}, the longest answer",
            arithmetic=(
                f"{of.calls:,} calls reserved {of.reserved_output:,} output tokens, where"
                f" {of.calls:,} times {of.most_output:,} would have done: {unused:,} tokens"
                f" at {_a_million(here.output)} a million were held for nothing"
            ),
            frees_microusd=frees,
        )


def _cheaper(of: ModelCalls, used: Usage, prices: Iterable[Price]) -> Price | None:
    """The nearest model below in cost, among those that do the same: only completions price their output."""
    below = of.spent * (100 - _WORTHWHILE_PERCENT) // 100
    costs = [
        (price.rates.at(of.mean_input).cost(used), price.model, price)
        for price in prices
        if (price.rates.output > 0) is (of.component == "model")
    ]
    fitting = [one for one in costs if one[0] < below]
    return max(fitting)[2] if fitting else None


def _provisional(of: Unknown) -> Recommendation:
    name = f"{of.provider}/{of.model}" if of.provider else of.model
    return Recommendation(
        kind=Recommendation.KIND_PROVISIONAL,
        subject=f"{of.agent}: {name}",
        change="settle these calls by their true figures, or find out why they give none",
        arithmetic=(
            f"{of.calls:,} calls without a known outcome are settled at their ceilings, {dollars(of.spent)}:"
            " what they used less comes back"
        ),
        saves_microusd=of.spent,
    )
