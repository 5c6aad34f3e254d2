"""A price is a row with a date and a source, and money is counted in integers.

Rates are micro-dollars per billion tokens: 0.15 dollars per million tokens is 150,000,000, exactly. Both
the ceiling of a call and what it cost are one exact sum, rounded up once to a whole micro-dollar; so what
was used within its ceiling never costs more than was reserved, and nothing that has a price is free. A
model without a row has no price: it is refused, never taken for free.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from malha.api.common.v1.usage_pb2 import Usage
from malha.errors import ErrorReason, MalhaError

ANY = "*"
"""As a row's model: every model of the provider that has no row of its own. As its provider too: every
model of every provider; what an operator lets unknown models cost."""

_BILLION = 1_000_000_000
_UP = "up"


class Band(NamedTuple):
    """The rates of a whole call whose input is longer than so many tokens."""

    above: int
    input: int
    cached_input: int
    output: int


class Rates(NamedTuple):
    """Micro-dollars per billion tokens. Reasoning counts as output."""

    input: int
    cached_input: int
    output: int
    bands: tuple[Band, ...] = ()
    """Other rates for longer inputs, shortest first."""
    half_up: bool = False
    """A cost is rounded to the nearest micro-dollar: entries of the version before were."""

    @classmethod
    def kept(cls, input_: int, cached_input: int, output: int, terms: str) -> Rates:
        """The rates that an entry of the ledger keeps in so many numbers and :attr:`terms`."""
        return cls(input_, cached_input, output, _bands(terms), half_up=not terms)

    @property
    def terms(self) -> str:
        """All that the three rates do not say, as an entry keeps it.

        "up", then each band as " above:input:cached:output"; empty where a cost is rounded half up.
        """
        return "" if self.half_up else " ".join([_UP, *(":".join(map(str, band)) for band in self.bands)])

    def ceiling(self, input_tokens: int, output_tokens: int) -> int:
        """The most that a call within so many tokens can cost, in micro-dollars, rounded up.

        A band's rates may be lower than those before it, so the longest input need not be the dearest.
        """
        return max(
            _up(most * max(band.input, band.cached_input) + output_tokens * band.output)
            for band, most in self._reached(input_tokens)
        )

    def output_within(self, microusd: int, input_tokens: int, most: int) -> int:
        """The largest output, up to ``most`` tokens, with which the ceiling is not above the amount."""
        for band, length in self._reached(input_tokens):
            room = microusd * _BILLION - length * max(band.input, band.cached_input)
            if room < 0:
                return 0
            most = min(most, room // band.output) if band.output else most
        return most

    def cost(self, usage: Usage) -> int:
        """What the tokens cost, in micro-dollars, rounded up."""
        *_, (band, _) = self._reached(usage.input_tokens)
        fresh = usage.input_tokens - usage.cached_input_tokens
        exact = (
            fresh * band.input
            + usage.cached_input_tokens * band.cached_input
            + usage.output_tokens * band.output
        )
        return (exact + _BILLION // 2) // _BILLION if self.half_up else _up(exact)

    def at(self, input_tokens: int) -> Rates:
        """Those of a call whose input is so long, and no others."""
        *_, (band, _) = self._reached(input_tokens)
        return Rates(*band[1:], half_up=self.half_up)

    @property
    def by_length(self) -> tuple[Band, ...]:
        """All rates there are, those of the shortest inputs first."""
        return (Band(0, *self[:3]), *self.bands)

    @property
    def free(self) -> bool:
        """Nothing costs anything, however much is used."""
        return not any(rate for band in self.by_length for rate in band[1:])

    def _reached(self, input_tokens: int) -> Iterator[tuple[Band, int]]:
        """The bands that an input up to so long may fall into, each with the longest input in it."""
        band = Band(0, *self[:3])
        for longer in self.bands:
            if longer.above >= input_tokens:
                break
            yield band, longer.above
            band = longer
        yield band, input_tokens


class Price(NamedTuple):
    """What a model costs from a day on."""

    provider: str
    model: str
    effective_from: date
    """First day (UTC) it holds; ``date.min`` where the source gives none."""
    rates: Rates
    source: str
    """Where the figure was taken from."""
    batch: Rates | None = None
    """Of a call through the provider's batch interface; None where that is not known to be cheaper."""
    reasons: bool = False
    """The model thinks in tokens that it bills and does not show."""
    url: str = ""
    """The page where the provider publishes it."""
    retrieved: date | None = None
    """When it was read there."""

    @property
    def row(self) -> str:
        """Names the row in the ledger."""
        return f"{self.provider}/{self.model}@{self.effective_from.isoformat()}"

    def terms_of(self, *, batch: bool) -> tuple[Rates, str]:
        """The rates of a call, and what names them in the ledger."""
        if batch and self.batch is not None:
            return self.batch, f"{self.row}/batch"
        return self.rates, self.row


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

    @property
    def lengths(self) -> tuple[int, ...]:
        """The lengths of an input beyond which some price is another, shortest first."""
        priced = (price for rows in self._rows.values() for price in rows)
        rates = (each for price in priced for each in (price.rates, price.batch) if each)
        return tuple(sorted({band.above for each in rates for band in each.bands}))

    def of(self, provider: str, day: date) -> list[Price]:
        """What each named model of a provider costs on ``day`` (UTC)."""
        return [
            next(price for price in kept if price.effective_from <= day)
            for (of, model), kept in self._rows.items()
            if of == provider and model != ANY and kept[-1].effective_from <= day
        ]

    def find(self, provider: str, model: str, day: date) -> Price:
        """The price in force on ``day`` (UTC).

        Raises:
            MalhaError: PRICE_UNKNOWN where no row covers the model and day.
        """
        for name in ((provider, model), (provider, ANY), (ANY, ANY)):
            for price in self._rows.get(name, ()):
                if price.effective_from <= day:
                    return price
        raise MalhaError(
            ErrorReason.ERROR_REASON_PRICE_UNKNOWN,
            f"no price is known for the model {model!r}" + (f" of {provider!r}" if provider else ""),
            metadata={"model": model, "provider": provider},
        )

    def named(self, model: str, day: date) -> list[Price]:
        """The prices in force on ``day`` of all models that are called so, whoever provides them.

        Args:
            model: "model" or "provider/model"; empty for all.
        """
        found = []
        for (provider, name), rows in sorted(self._rows.items()):
            if model in ("", name, f"{provider}/{name}"):
                found += [price for price in rows if price.effective_from <= day][:1]
        return found


def _up(exact: int) -> int:
    """Micro-dollars of a sum of rates times tokens."""
    return -(-exact // _BILLION)


@lru_cache(256)
def _bands(terms: str) -> tuple[Band, ...]:
    return tuple(Band(*map(int, band.split(":"))) for band in terms.split(" ")[1:])
