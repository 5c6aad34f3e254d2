"""GPU prices of several providers, asked at the same time.

One provider that is away must not hide what the others say: each is asked behind a breaker of its own,
and the answer names who is missing and why.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
from google.protobuf.duration_pb2 import Duration

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.run.v1.record_pb2 import Effect
from malha.api.tools.v1.tool_pb2 import Tool
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.clock import Clock
from malha.errors import ErrorReason, MalhaError
from malha.limits.breaker import Breaker, BreakerOpenError
from malha_tools.ports import PriceProvider

_ATTEMPTS = 3  # as many failures open a provider's breaker
_PAUSE = 0.05

_OUTPUT = {
    "type": "object",
    "properties": {
        "gpu": {"type": "string"},
        "prices": {
            "type": "array",
            "description": "Cheapest first.",
            "items": {
                "type": "object",
                "properties": {
                    "provider": {"type": "string"},
                    "usd_per_hour": {"type": "string", "pattern": r"^\d+(\.\d+)?$"},
                },
                "required": ["provider", "usd_per_hour"],
                "additionalProperties": False,
            },
        },
        "unavailable": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"provider": {"type": "string"}, "why": {"type": "string"}},
                "required": ["provider", "why"],
                "additionalProperties": False,
            },
        },
        "not_offered": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["gpu", "prices", "unavailable", "not_offered"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class _Quote:
    provider: str
    usd_per_hour: Decimal | None = None
    missing: str = ""
    """Why there is no word from the provider; a clause about it."""


class GpuPrices:
    """Compares providers.

    Args:
        providers: whom to ask; at least one.
        clock: measures the breakers' rest and the pauses between attempts.
    """

    def __init__(self, providers: Sequence[PriceProvider], clock: Clock) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._breakers = {
            name: Breaker(f"price provider {name}", fail_max=_ATTEMPTS, clock=clock)
            for name in self._providers
        }
        self._clock = clock
        self.contract = Tool(
            name="gpu_prices",
            version="1",
            description="Looks up what a GPU costs per hour in US dollars at several cloud providers, asked "
            "at the same time, and says which is cheapest. Use it for questions about the price of GPUs, "
            f"such as H100, A100 or L4. The providers are: {', '.join(sorted(self._providers))}.",
            input_schema_json=json.dumps(_input(sorted(self._providers))),
            output_schema_json=json.dumps(_OUTPUT),
            effect=Effect.EFFECT_READ,
            cache_ttl=Duration(seconds=300),
            harmless=True,
        )

    async def run(
        self, arguments: Mapping[str, Any], _principal: Principal, _idempotency_key: str
    ) -> ToolResult:
        gpu = _model(arguments["gpu"])
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(self._quote(name, gpu))
                for name in arguments.get("providers") or self._providers
            ]
        quotes = [task.result() for task in asked]
        if all(quote.missing for quote in quotes):
            raise MalhaError(
                ErrorReason.ERROR_REASON_TOOL_UNAVAILABLE, f"No price is known. {_missing_sentences(quotes)}"
            )
        return _told(gpu, quotes)

    async def _quote(self, name: str, gpu: str) -> _Quote:
        clause = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                await self._clock.sleep(_PAUSE * attempt)
            try:
                async with self._breakers[name]:
                    return _Quote(name, await self._providers[name].usd_per_hour(gpu))
            except BreakerOpenError:
                return _Quote(name, missing=clause or "failed repeatedly and is left alone for now")
            except MalhaError as error:
                clause = error.message
        return _Quote(name, missing=f"{clause} {_ATTEMPTS} times in a row and is left alone for now")


def _told(gpu: str, quotes: Sequence[_Quote]) -> ToolResult:
    priced = sorted(
        ((quote.usd_per_hour, quote.provider) for quote in quotes if quote.usd_per_hour is not None),
    )
    missing = [quote for quote in quotes if quote.missing]
    not_offered = sorted(q.provider for q in quotes if q.usd_per_hour is None and not q.missing)
    sentences = [f"{gpu} at {provider}: {usd:f} USD per hour." for usd, provider in priced]
    if len(priced) > 1:
        sentences.append(f"The cheapest is {priced[0][1]} at {priced[0][0]:f} USD per hour.")
    if not priced:
        sentences.append(f"None of the providers that answered offers {gpu}.")
    sentences += [f"{provider} does not offer {gpu}." for provider in not_offered if priced]
    if missing:
        sentences.append(_missing_sentences(missing))
    return ToolResult(
        result_json=orjson.dumps(
            {
                "gpu": gpu,
                "prices": [{"provider": provider, "usd_per_hour": f"{usd:f}"} for usd, provider in priced],
                "unavailable": [{"provider": q.provider, "why": q.missing} for q in missing],
                "not_offered": not_offered,
            }
        ).decode(),
        text="\n".join(sentences),
        partial=bool(missing),
    )


def _missing_sentences(quotes: Sequence[_Quote]) -> str:
    return "\n".join(f"{quote.provider} was unavailable: it {quote.missing}." for quote in quotes)


def _model(gpu: str) -> str:
    """The model as providers list it: "nvidia h100" is H100."""
    words = gpu.upper().split()
    return " ".join(word for word in words if word not in ("NVIDIA", "TESLA", "GPU", "GPUS")) or gpu


def _input(providers: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "gpu": {
                "type": "string",
                "minLength": 1,
                "maxLength": 64,
                "description": "The GPU's model, such as H100, A100 or L4.",
            },
            "providers": {
                "type": "array",
                "items": {"enum": providers},
                "minItems": 1,
                "uniqueItems": True,
                "description": "Whom to ask; everyone if left out.",
            },
        },
        "required": ["gpu"],
        "additionalProperties": False,
    }
