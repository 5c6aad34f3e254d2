"""The tools there are, and who may reach which.

Everything a call needs of a tool is made ready here, once: schemas compiled, defaults filled in, a
breaker and a bulkhead of its own. A contract that is not sound stops the start.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

from jsonschema.exceptions import SchemaError

from malha.api.common.v1.principal_pb2 import Tier
from malha.api.run.v1.record_pb2 import Effect, Risk
from malha.api.tools.v1.tool_pb2 import Tool as Contract
from malha.errors import ConfigurationError, ErrorReason, MalhaError
from malha.limits.breaker import Breaker
from malha.limits.bulkhead import Bulkhead
from malha_tools.ports import Tool
from malha_tools.schema import Schema

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class UnsoundToolError(ConfigurationError):
    """A tool's contract cannot be kept; says which and why. For the operator, at the start."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A tool, ready to be called."""

    tool: Tool
    contract: Contract
    arguments: Schema
    result: Schema
    timeout: float
    cache_ttl: float
    breaker: Breaker
    bulkhead: Bulkhead

    @property
    def name(self) -> str:
        return self.contract.name

    @property
    def once(self) -> bool:
        """Whether running it twice is forbidden, or (READ, IDEMPOTENT) merely wasteful."""
        return self.contract.effect == Effect.EFFECT_ONCE


class Registry:
    """Tools by name.

    Args:
        tools: each name once.
        default_timeout: seconds for tools that declare none.
        concurrency: calls of one tool under way at once; twice as many may wait.
    """

    def __init__(
        self, tools: Iterable[Tool], *, default_timeout: float = 10.0, concurrency: int = 64
    ) -> None:
        self._entries: dict[str, Entry] = {}
        for tool in tools:
            entry = _ready(tool, default_timeout, concurrency)
            if entry.name in self._entries:
                raise UnsoundToolError(f"{entry.name}: two tools have this name")
            self._entries[entry.name] = entry

    def reach(self, name: str, tier: Tier, allowed: Collection[str]) -> Entry:
        """The tool, if the agent lists it and the tier suffices.

        Raises:
            MalhaError: TOOL_NOT_FOUND, in the same words whether it is missing or out of reach: what
                a caller may not use, it need not know of.
        """
        entry = self._entries.get(name)
        if entry is None or name not in allowed or not _suffices(tier, entry):
            raise MalhaError(ErrorReason.ERROR_REASON_TOOL_NOT_FOUND, "no such tool is within reach")
        return entry

    def within(self, tier: Tier) -> list[Contract]:
        """The contracts a tier may see, by name."""
        return [entry.contract for _, entry in sorted(self._entries.items()) if _suffices(tier, entry)]


def _suffices(tier: Tier, entry: Entry) -> bool:
    return max(tier, Tier.TIER_FREE) >= entry.contract.min_tier


def _ready(tool: Tool, default_timeout: float, concurrency: int) -> Entry:
    contract = Contract()
    contract.CopyFrom(tool.contract)
    if not _NAME.fullmatch(contract.name):
        raise UnsoundToolError(
            f"{contract.name!r}: a tool's name is lower-case letters, digits and underscore"
        )
    if contract.effect == Effect.EFFECT_UNSPECIFIED:
        raise UnsoundToolError(f"{contract.name}: say what repeating it does (effect)")
    timeout, cache_ttl = contract.timeout.ToTimedelta(), contract.cache_ttl.ToTimedelta()
    if min(timeout, cache_ttl) < timedelta() or contract.price_microusd < 0:
        raise UnsoundToolError(f"{contract.name}: no timeout, time to live or price is less than zero")
    if cache_ttl and contract.effect != Effect.EFFECT_READ:
        raise UnsoundToolError(f"{contract.name}: only EFFECT_READ results may be cached")
    if contract.harmless and contract.risk > Risk.RISK_LOW:
        raise UnsoundToolError(f"{contract.name}: a harmless tool has no risk, and this declares one")
    try:
        arguments, result = Schema(contract.input_schema_json), Schema(contract.output_schema_json)
    except (ValueError, SchemaError, RecursionError) as error:
        raise UnsoundToolError(f"{contract.name}: not a JSON Schema: {error}") from error
    if not arguments.describes_object:
        raise UnsoundToolError(f"{contract.name}: the arguments must be an object")
    if not timeout:
        contract.timeout.FromMilliseconds(round(default_timeout * 1000))
    contract.min_tier = max(contract.min_tier, Tier.TIER_FREE)
    return Entry(
        tool,
        contract,
        arguments,
        result,
        contract.timeout.ToTimedelta().total_seconds(),
        cache_ttl.total_seconds(),
        Breaker(f"tool {contract.name}"),
        Bulkhead(f"tool {contract.name}", limit=concurrency, queue=2 * concurrency),
    )
