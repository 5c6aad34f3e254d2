"""What to change and what it would have been worth: by a day's entries and the price table alone.

Nothing is guessed: each recommendation carries an amount, and the figures that make it. Whether a cheaper
model answers well enough is for an evaluation to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

    Their inputs are all of lengths between which no price of the table changes: each has one rate for all. An
    entry whose price changed at a length that the table names no more counts at their mean length.
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

    @property
    def here(self) -> Rates:
        """What they were paid at."""
        return self.rates.at(self.mean_input)

    def cost(self, rates: Rates) -> int:
        """What they would have cost at other rates, in micro-dollars."""
        used = Usage(
            input_tokens=self.input_tokens,
            cached_input_tokens=self.cached_tokens,
            output_tokens=self.output_tokens,
        )
        return rates.at(self.mean_input).cost(used)


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
    alike: dict[object, list[ModelCalls]] = {}
    for of in calls:
        alike.setdefault((of.agent, of.component, of.provider, of.model, of.rates), []).append(of)
    found = [advice for bands in alike.values() for advice in _of_calls(bands, prices, day)]
    found += [_provisional(of) for of in unknown if of.spent]
    return sorted(found, key=lambda it: (-it.saves_microusd, -it.frees_microusd, it.subject))


def dollars(microusd: int) -> str:
    """Micro-dollars as dollars, exactly."""
    return f"${microusd // 1_000_000:,}.{microusd % 1_000_000:06}"


def _a_million(rate: int) -> str:
    """A rate as providers print it, in dollars per million tokens."""
    return f"${Decimal(rate) / _BILLION:f}"


def _at(tokens: Mapping[int, int]) -> str:
    """What tokens cost, told of those at each rate where there are several."""
    if len(tokens) == 1:
        return "".join(f"{_a_million(rate)} a million" for rate in tokens)
    return ", ".join(f"{_a_million(rate)} a million for {count:,} of them" for rate, count in tokens.items())


def _worth(tokens: Mapping[int, int]) -> int:
    """What tokens cost, by the rates they have, in whole micro-dollars."""
    return sum(rate * count for rate, count in tokens.items()) // _BILLION


def _of_calls(bands: Sequence[ModelCalls], prices: PriceTable, day: date) -> Iterator[Recommendation]:
    """Of calls that differ in the length of their input alone."""
    of = bands[0]
    subject = f"{of.agent}: {of.provider}/{of.model}"
    calls, spent = sum(band.calls for band in bands), sum(band.spent for band in bands)
    if cheaper := _cheaper(bands, spent, prices.of(of.provider, day)):
        cost, price = cheaper
        yield Recommendation(
            kind=Recommendation.KIND_CHEAPER_MODEL,
            subject=subject,
            change=f"try {price.provider}/{price.model}, if an evaluation finds its answers good enough",
            arithmetic=(
                f"{calls:,} calls used {sum(band.input_tokens for band in bands):,} input tokens,"
                f" {sum(band.cached_tokens for band in bands):,} of them cached, and"
                f" {sum(band.output_tokens for band in bands):,} output tokens: {dollars(spent)} here,"
                f" {dollars(cost)} there"
            ),
            saves_microusd=spent - cost,
        )
    repeated: Counter[int] = Counter()
    for band in bands:
        repeated[band.here.input - band.here.cached_input] += band.repeated
    repeated = +repeated  # without bands in which nothing came again
    if (saves := _worth(repeated)) > 0:
        yield Recommendation(
            kind=Recommendation.KIND_PROMPT_CACHE,
            subject=subject,
            change="keep the beginnings of prompts the same, so that the provider finds them cached",
            arithmetic=(
                f"{repeated.total():,} input tokens came again in the next call of a run and were paid as"
                f" new: times what lies between new and cached, {_at(repeated)}"
            ),
            saves_microusd=saves,
        )
    longest = max(band.most_output for band in bands)
    above = [band for band in bands if band.reserved_output > band.calls * longest]
    calls, reserved = sum(band.calls for band in above), sum(band.reserved_output for band in above)
    unused: Counter[int] = Counter()
    for band in above:
        unused[band.here.output] += band.reserved_output - band.calls * longest
    if 2 * unused.total() >= reserved and (frees := _worth(unused)):
        yield Recommendation(
            kind=Recommendation.KIND_LOWER_CEILING,
            subject=subject,
            change=f"lower max_output_tokens towards {longest:,}, the longest answer",
            arithmetic=(
                f"{calls:,} calls reserved {reserved:,} output tokens, where"
                f" {calls:,} times {longest:,} would have done: {unused.total():,} tokens"
                f" were held for nothing, at {_at(unused)}"
            ),
            frees_microusd=frees,
        )


def _cheaper(bands: Sequence[ModelCalls], spent: int, prices: Iterable[Price]) -> tuple[int, Price] | None:
    """The nearest model below in cost, and the cost, among those that do the same: only completions price
    their output."""
    below = spent * (100 - _WORTHWHILE_PERCENT) // 100
    costs = [
        (sum(band.cost(price.rates) for band in bands), price.model, price)
        for price in prices
        if (price.rates.output > 0) is (bands[0].component == "model")
    ]
    fitting = [one for one in costs if one[0] < below]
    if not fitting:
        return None
    cost, _, price = max(fitting)
    return cost, price


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
