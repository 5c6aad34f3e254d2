"""What calls would cost, and whose figures these are: prices told to people."""

from __future__ import annotations

from datetime import date

from malha.api.common.v1.usage_pb2 import Usage
from malha.api.cost.v1 import price_pb2 as pb
from malha.api.cost.v1.cost_service_pb2 import QuoteRequest
from malha_cost.prices import Price, PriceTable, Rates
from malha_cost.settling import check_usage


def quotes(prices: PriceTable, asked: QuoteRequest, day: date) -> list[pb.Quote]:
    """A quote for each model that is called so.

    Raises:
        MalhaError: PRICE_UNKNOWN where none is, FIELD_INVALID for usage that contradicts itself.
    """
    used = Usage(
        input_tokens=asked.input_tokens,
        cached_input_tokens=asked.cached_input_tokens,
        output_tokens=asked.output_tokens,
    )
    check_usage(used, "")
    found = prices.named(asked.model, day)
    if not found:
        provider, slash, model = asked.model.partition("/")
        found = [prices.find(provider, model, day) if slash else prices.find("", asked.model, day)]
    answers = []
    for price in found:
        rates, row = price.terms_of(batch=asked.batch)
        answers.append(
            pb.Quote(
                price=_told(price, rates, row),
                amount_microusd=rates.cost(used),
                ceiling_microusd=rates.ceiling(used.input_tokens, used.output_tokens),
            )
        )
    return answers


def _told(price: Price, rates: Rates, row: str) -> pb.Price:
    return pb.Price(
        provider=price.provider,
        model=price.model,
        row=row,
        effective_from="" if price.effective_from == date.min else price.effective_from.isoformat(),
        rates=[
            pb.Rates(above=above, input=fresh, cached_input=cached, output=output)
            for above, fresh, cached, output in rates.by_length
        ],
        reasons=price.reasons,
        source=price.source,
        url=price.url,
        retrieved=price.retrieved.isoformat() if price.retrieved else "",
    )
