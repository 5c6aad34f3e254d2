"""GPU price providers to ask: one small HTTP server each, on a free port of loopback, from one price file.

They speak what ``gpu_prices`` asks: ``GET <url>?gpu=H100`` answers ``{"gpu": ..., "usd_per_hour": ...}``,
404 for a GPU they do not offer, and 503 while they fail.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

from aiohttp import web

Prices = Mapping[str, Mapping[str, str]]
"""provider -> GPU -> US dollars per hour, as decimal text."""


def load(path: Path) -> Prices:
    """Read a price file such as ``examples/gpu_prices/prices.json``."""
    prices: Prices = json.loads(path.read_text(encoding="utf-8"))["usd_per_hour"]
    return prices


class PriceProviders:
    """``async with PriceProviders(load(path), failing=["nimbus"]) as providers:`` serves inside the block.

    Args:
        prices: one server for each provider in it.
        failing: those that answer 503; may be changed at any time.
    """

    def __init__(self, prices: Prices, *, failing: Iterable[str] = ()) -> None:
        self._prices = prices
        self._runners: list[web.AppRunner] = []
        self.failing = set(failing)
        self.hanging: set[str] = set()
        """Those that do not answer until whoever asks goes away; may be changed at any time."""
        self.hung_up = 0
        """How many went away."""
        self.urls: dict[str, str] = {}
        """provider -> endpoint, as the setting ``price_providers`` wants them."""
        self.asked: Counter[str] = Counter()
        """How often each was asked."""

    async def __aenter__(self) -> PriceProviders:
        for provider, offers in self._prices.items():
            await self._serve(provider, offers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for runner in self._runners:
            await runner.cleanup()

    async def _serve(self, provider: str, offers: Mapping[str, str]) -> None:
        async def answer(request: web.Request) -> web.Response:
            self.asked[provider] += 1
            if provider in self.hanging:
                try:
                    await asyncio.Event().wait()
                finally:
                    self.hung_up += 1
            if provider in self.failing:
                return web.json_response({"error": "out of order"}, status=503)
            gpu = request.query.get("gpu", "")
            price = offers.get(gpu.upper())
            if price is None:
                return web.json_response({"error": "not offered"}, status=404)
            return web.json_response({"gpu": gpu, "usd_per_hour": price})

        app = web.Application()
        app.router.add_get("/prices", answer)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, "127.0.0.1", 0, shutdown_timeout=1.0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.urls[provider] = f"http://{host}:{port}/prices"
