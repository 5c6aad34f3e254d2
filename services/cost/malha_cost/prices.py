"""A price is a row with a date and a source, and money is counted in integers.

Rates are micro-dollars per billion tokens: 0.15 dollars per million tokens is 150,000,000, exactly. A
ceiling is rounded up to a whole micro-dollar and a cost half up, from the same exact sum, so what was
used within its ceiling never costs more than was reserved. A model without a row has no price: it is
refused, never taken for free.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from malha.api.common.v1.usage_pb2 import Usage
from malha.errors import ErrorReason, MalhaError

ANY_MODEL = "*"
"""As a row's model: every model of the provider that has no row of its own."""

_BILLION = 1_000_000_000


class Rates(NamedTuple):
    """Micro-dollars per billion tokens. Reasoning counts as output."""

    input: int
    cached_input: int
    output: int

    def ceiling(self, input_tokens: int, output_tokens: int) -> int:
        """The most that so many tokens can cost, in micro-dollars, rounded up."""
        dearest_input = max(self.input, self.cached_input)
        return -(-(input_tokens * dearest_input + output_tokens * self.output) // _BILLION)

    def output_within(self, microusd: int, input_tokens: int, most: int) -> int:
        """The largest output, up to ``most`` tokens, with which the ceiling is not above the amount."""
        room = microusd * _BILLION - input_tokens * max(self.input, self.cached_input)
        if room < 0:
            return 0
        return min(most, room // self.output) if self.output else most

    def cost(self, usage: Usage) -> int:
        """What the tokens cost, in micro-dollars, rounded half up."""
        fresh = usage.input_tokens - usage.cached_input_tokens
        exact = (
            fresh * self.input
            + usage.cached_input_tokens * self.cached_input
            + usage.output_tokens * self.output
        )
        return (exact + _BILLION // 2) // _BILLION


class Price(NamedTuple):
    """What a model costs from a day on."""

    provider: str
    model: str
    effective_from: date
    """First day (UTC) it holds; ``date.min`` where the source gives none."""
    rates: Rates
    source: str
    """Where the figure was taken from."""

    @property
    def row(self) -> str:
        """Names the row in the ledger."""
        return f"{self.provider}/{self.model}@{self.effective_from.isoformat()}"


class PriceTable:
    """All prices; later rows win over earlier ones of the same provider, model and date."""

    def __init__(self, prices: Iterable[Price]) -> None:
        by_model: dict[tuple[str, str], dict[date, Price]] = defaultdict(dict)
        for price in prices:
            by_model[price.provider, price.model][price.effective_from] = price
        # newest first, as the first row that has begun is the one in force
        self._rows = {
            name: sorted(rows.values(), key=lambda price: price.effective_from, reverse=True)
            for name, rows in by_model.items()
        }

    def of(self, provider: str, day: date) -> list[Price]:
        """What each named model of a provider costs on ``day`` (UTC)."""
        return [
            next(price for price in kept if price.effective_from <= day)
            for (of, model), kept in self._rows.items()
            if of == provider and model != ANY_MODEL and kept[-1].effective_from <= day
        ]

    def find(self, provider: str, model: str, day: date) -> Price:
        """The price in force on ``day`` (UTC).

        Raises:
            MalhaError: PRICE_UNKNOWN where no row covers the model and day.
        """
        for name in ((provider, model), (provider, ANY_MODEL)):
            for price in self._rows.get(name, ()):
                if price.effective_from <= day:
                    return price
        raise MalhaError(
            ErrorReason.ERROR_REASON_PRICE_UNKNOWN,
            f"no price is known for the model {model!r} of {provider!r}",
            metadata={"model": model, "provider": provider},
        )
