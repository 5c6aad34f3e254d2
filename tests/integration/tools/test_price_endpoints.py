"""Whatever a price endpoint answers, it is a price, no offer, or a clause that says what was wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import aiohttp
import pytest
from aiohttp import web

from malha.errors import ErrorReason, MalhaError
from malha_tools.adapters import price_endpoints
from malha_tools.adapters.price_endpoints import HttpPriceProvider


class Endpoint:
    """Answers what the test says."""

    def __init__(self) -> None:
        self.answer: web.StreamResponse | None = None
        self.asked: list[str] = []
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        if self.answer is None:
            await asyncio.Event().wait()
        assert self.answer is not None
        return self.answer


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    app = web.Application()
    app.router.add_get("/prices", endpoint.serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, shutdown_timeout=0.1).start()
    endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}/prices"
    yield endpoint
    await runner.cleanup()


@pytest.fixture
async def provider(endpoint: Endpoint) -> AsyncIterator[HttpPriceProvider]:
    async with aiohttp.ClientSession() as session:
        yield HttpPriceProvider("aurora", endpoint.url, session)


@pytest.mark.parametrize("body", ['{"usd_per_hour": "2.490"}', '{"usd_per_hour": 2.490, "more": [1]}'])
async def test_a_price_is_exact(endpoint: Endpoint, provider: HttpPriceProvider, body: str) -> None:
    endpoint.answer = web.Response(text=body)
    price = await provider.usd_per_hour("RTX 4090&x=1")
    assert (price, str(price)) == (Decimal("2.490"), "2.490")
    assert endpoint.asked == ["/prices?gpu=RTX+4090%26x%3D1"]


async def test_not_found_means_that_it_is_not_offered(
    endpoint: Endpoint, provider: HttpPriceProvider
) -> None:
    endpoint.answer = web.Response(status=404)
    assert await provider.usd_per_hour("Z9") is None


@pytest.mark.parametrize(
    ("answer", "clause"),
    [
        (web.Response(status=503), "answered HTTP 503"),
        (web.Response(status=302, headers={"location": "http://127.0.0.1:1/"}), "answered HTTP 302"),
        (web.Response(text="<html>"), "answered something that is no price"),
        (web.Response(text="[]"), "answered something that is no price"),
        (web.Response(text="{}"), "answered something that is no price"),
        (web.Response(text='{"usd_per_hour": "cheap"}'), "answered something that is no price"),
        (web.Response(text='{"usd_per_hour": null}'), "answered something that is no price"),
        (web.Response(text='{"usd_per_hour": true}'), "answered something that is no price"),
        (web.Response(text='{"usd_per_hour": 2.' + "1" * 5000 + "}"), "answered something that is no price"),
        (web.Response(text='{"usd_per_hour": -1}'), "answered something that is no price"),
        (web.Response(text='{"usd_per_hour": "NaN"}'), "answered something that is no price"),
        (web.Response(text='{"usd_per_hour": 1e99}'), "answered something that is no price"),
        # written out it would have more digits than there is memory
        (web.Response(text='{"usd_per_hour": "1e-999999999"}'), "answered something that is no price"),
        (web.Response(text="[" * 50_000), "answered something that is no price"),
        (web.Response(body=b"\xff\xfe"), "answered something that is no price"),
        (web.Response(text=" " * 100_000), "answered more than a price"),
        (None, "did not answer in time"),
    ],
)
async def test_anything_else_is_a_clause_about_the_provider(
    endpoint: Endpoint,
    provider: HttpPriceProvider,
    monkeypatch: pytest.MonkeyPatch,
    answer: web.Response | None,
    clause: str,
) -> None:
    if answer is None:
        monkeypatch.setattr(price_endpoints, "_SECONDS", 0.05)
    endpoint.answer = answer
    with pytest.raises(MalhaError) as error:
        await provider.usd_per_hour("H100")
    assert error.value.reason == ErrorReason.ERROR_REASON_TOOL_UNAVAILABLE
    assert error.value.message == clause
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "no url", "http://a..b/", "http://" + "a" * 300 + "/"]
)
async def test_nobody_at_the_address_is_a_clause_too(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(MalhaError, match="could not be reached"):
            await HttpPriceProvider("gone", url, session).usd_per_hour("H100")
