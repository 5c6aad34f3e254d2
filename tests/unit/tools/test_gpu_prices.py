"""Providers are asked at the same time; one that is away is named and hides no other."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.errors import ErrorReason, MalhaError
from malha.testing.clock import FakeClock
from malha_tools.registry import Registry
from malha_tools.schema import Schema
from malha_tools.tools.gpu_prices import GpuPrices


class ImpatientClock(FakeClock):
    """Sleeping moves its hands at once."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)


class Provider:
    """Sells at fixed prices, or is away."""

    def __init__(self, name: str, **prices: str) -> None:
        self.name = name
        self.asked: list[str] = []
        self.away = False
        self.together: asyncio.Barrier | None = None
        self._prices = {gpu: Decimal(usd) for gpu, usd in prices.items()}

    async def usd_per_hour(self, gpu: str) -> Decimal | None:
        self.asked.append(gpu)
        if self.together:
            await self.together.wait()
        if self.away:
            raise MalhaError(ErrorReason.ERROR_REASON_TOOL_UNAVAILABLE, "answered HTTP 503")
        return self._prices.get(gpu)


class Market:
    def __init__(self) -> None:
        self.clock = ImpatientClock()
        self.aurora = Provider("aurora", H100="2.49", A100="1.29")
        self.borealis = Provider("borealis", H100="2.99")
        self.nimbus = Provider("nimbus", H100="2.25")
        self.tool = GpuPrices([self.aurora, self.borealis, self.nimbus], self.clock)
        self._output = Schema(self.tool.contract.output_schema_json)

    async def ask(self, gpu: str = "H100", **arguments: Any) -> ToolResult:
        result = await self.tool.run({"gpu": gpu, **arguments}, Principal(), "")
        assert self._output.faults(json.loads(result.result_json)) == []
        return result


@pytest.fixture
def market() -> Market:
    return Market()


def test_its_contract_is_sound(market: Market) -> None:
    Registry([market.tool])


async def test_prices_come_cheapest_first_in_sentences_that_stand_alone(market: Market) -> None:
    result = await market.ask()
    assert result.text.splitlines() == [
        "H100 at nimbus: 2.25 USD per hour.",
        "H100 at aurora: 2.49 USD per hour.",
        "H100 at borealis: 2.99 USD per hour.",
        "The cheapest is nimbus at 2.25 USD per hour.",
    ]
    assert not result.partial


async def test_providers_are_asked_at_the_same_time(market: Market) -> None:
    together = asyncio.Barrier(3)  # nobody answers until all three were asked
    for provider in (market.aurora, market.borealis, market.nimbus):
        provider.together = together
    assert "nimbus" in (await market.ask()).text


async def test_a_failing_provider_is_named_until_its_breaker_opens_and_after(market: Market) -> None:
    market.nimbus.away = True
    first = await market.ask()
    assert (
        "nimbus was unavailable: it answered HTTP 503 3 times in a row and is left alone for now."
        in first.text
    )
    assert first.partial
    assert len(json.loads(first.result_json)["prices"]) == 2
    assert len(market.nimbus.asked) == 3

    second = await market.ask()
    assert "nimbus was unavailable: it failed repeatedly and is left alone for now." in second.text
    assert len(market.nimbus.asked) == 3

    market.nimbus.away = False
    market.clock.advance(10)
    assert not (await market.ask()).partial


async def test_only_the_providers_named_are_asked(market: Market) -> None:
    await market.ask(providers=["aurora", "nimbus"])
    assert (len(market.aurora.asked), len(market.borealis.asked), len(market.nimbus.asked)) == (1, 0, 1)


def test_a_provider_it_does_not_know_is_against_the_schema(market: Market) -> None:
    [fault] = Schema(market.tool.contract.input_schema_json).faults({"gpu": "H100", "providers": ["azure"]})
    assert fault == "providers[0]: 'azure' is not one of ['aurora', 'borealis', 'nimbus']"


async def test_a_gpu_is_found_by_the_names_people_give_it(market: Market) -> None:
    for name in ("h100", "NVIDIA H100", "Nvidia h100 GPU"):
        assert "The cheapest is nimbus" in (await market.ask(name)).text


async def test_who_does_not_offer_a_gpu_is_said(market: Market) -> None:
    result = await market.ask("A100")
    assert result.text.splitlines() == [
        "A100 at aurora: 1.29 USD per hour.",
        "borealis does not offer A100.",
        "nimbus does not offer A100.",
    ]
    assert (await market.ask("Z9")).text == "None of the providers that answered offers Z9."


async def test_when_nobody_answers_the_tool_is_unavailable_and_says_why(market: Market) -> None:
    for provider in (market.aurora, market.borealis, market.nimbus):
        provider.away = True
    with pytest.raises(MalhaError) as error:
        await market.ask()
    assert error.value.reason == ErrorReason.ERROR_REASON_TOOL_UNAVAILABLE
    assert error.value.message.count("answered HTTP 503") == 3
