"""GPU prices over HTTP: ``GET <url>?gpu=H100`` answers ``{"gpu": "H100", "usd_per_hour": "2.49"}``, or 404
where that GPU is not offered."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal, InvalidOperation
from typing import Any

import aiohttp

from malha.errors import ErrorReason, MalhaError

_SECONDS = 2.0
_MOST_BYTES = 64 * 1024
_MOST_DIGITS = 30  # each is read by a model
_LEAST_USD, _MOST_USD = Decimal("0.000001"), Decimal(1_000_000)


class HttpPriceProvider:
    """See :class:`malha_tools.ports.PriceProvider`.

    Args:
        name: how the provider is called in answers.
        url: its endpoint, from the settings and from nowhere else.
        session: shared by all providers.
    """

    def __init__(self, name: str, url: str, session: aiohttp.ClientSession) -> None:
        self._name = name
        self._url = url
        self._session = session

    @property
    def name(self) -> str:
        return self._name

    async def usd_per_hour(self, gpu: str) -> Decimal | None:
        try:
            async with self._session.get(
                self._url,
                params={"gpu": gpu},
                timeout=aiohttp.ClientTimeout(total=_SECONDS),
                allow_redirects=False,
            ) as response:
                if response.status == 404:
                    return None
                if response.status != 200:
                    raise _unavailable(f"answered HTTP {response.status}")
                body = await _bounded(response)
        except TimeoutError:
            raise _unavailable("did not answer in time") from None
        except (aiohttp.ClientError, UnicodeError):  # UnicodeError: a host that is no name
            raise _unavailable("could not be reached") from None
        return _price(body)


@asynccontextmanager
async def http_price_providers(urls: Mapping[str, str]) -> AsyncIterator[Sequence[HttpPriceProvider]]:
    """Providers by their names and endpoints, for the length of the block."""
    async with aiohttp.ClientSession() as session:
        yield [HttpPriceProvider(name, url, session) for name, url in urls.items()]


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise _unavailable("answered more than a price")
    return body


def _price(body: bytes) -> Decimal:
    try:
        answer: Any = json.loads(body, parse_float=Decimal, parse_int=Decimal)
        written = answer["usd_per_hour"]
        price = Decimal("" if written is True else written)  # which Decimal takes for 1
    except (ValueError, KeyError, TypeError, InvalidOperation, RecursionError):
        raise _unavailable("answered something that is no price") from None
    sound = price.is_finite() and _LEAST_USD <= price < _MOST_USD
    if not sound or len(price.as_tuple().digits) > _MOST_DIGITS:
        raise _unavailable("answered something that is no price")
    return price


def _unavailable(clause: str) -> MalhaError:
    return MalhaError(ErrorReason.ERROR_REASON_TOOL_UNAVAILABLE, clause)
