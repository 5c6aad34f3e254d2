"""What the tools need from outside, and what a tool is.

A tool needs nothing of this package: it is any object with a contract and a ``run``, so tools of other
packages are written against ``malha.api`` and ``malha.errors`` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto
from typing import Any, Protocol

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.retrieval.v1.retrieval_pb2 import Passage
from malha.api.run.v1.record_pb2 import Effect as EffectKind
from malha.api.tools.v1.tool_pb2 import Tool as Contract
from malha.api.tools.v1.tools_service_pb2 import ToolResult


class Tool(Protocol):
    """Something an agent may call."""

    @property
    def contract(self) -> Contract:
        """What a model and the mesh may know of it. Zero timeout means the mesh's default."""
        ...

    async def run(
        self, arguments: Mapping[str, Any], principal: Principal, idempotency_key: str, /
    ) -> ToolResult:
        """Do it.

        Args:
            arguments: valid against the contract's input schema.
            principal: whom it is done for; a tool touches what is this tenant's alone.
            idempotency_key: the same for every attempt at one step of a run, so that an
                EFFECT_IDEMPOTENT tool can hand it to whatever it changes.

        Returns:
            ``result_json`` (valid against the output schema) and ``text`` (what a model reads; it must
            make sense alone), and ``citations`` and ``partial`` where they apply. The rest is filled in here.

        Raises:
            MalhaError: TOOL_FAILED or TOOL_UNAVAILABLE with a message for the model. An EFFECT_ONCE
                tool promises with them that nothing took effect; whatever else leaves it means
                that nobody knows.
        """
        ...


@dataclass(frozen=True, slots=True)
class Effect:
    """One use of a tool, to be had at most once."""

    tenant: str
    key: str
    """tenant/run/step/epoch/leg."""
    tool: str
    kind: EffectKind
    arguments_hash: bytes
    """SHA-256 of tool and arguments: tells a retry from another use of the same key."""


class Fate(Enum):
    """What became of a key that has no result."""

    TOMBSTONED = auto()
    UNKNOWN = auto()


class EffectRecords(Protocol):
    """What is known of each effect, durably: every change is on disk when the call returns.

    A key's life: begun, then done; or done at once, where nothing had to be run; or tombstoned, if
    Resolve came first. One writer decides the order, so of two who race exactly one wins.
    """

    async def begin(self, effect: Effect) -> ToolResult | None:
        """Claim the key before acting. None: act. A result: it was done already, do not act.

        Raises:
            MalhaError: EFFECT_TOMBSTONED; IDEMPOTENCY_CONFLICT (the key was used for something else);
                OUTCOME_UNKNOWN (an EFFECT_ONCE began under it and left no result).
        """
        ...

    async def recall(self, effect: Effect) -> ToolResult | None:
        """The result of the key if it was done already. None: nothing stands against acting.

        Raises:
            MalhaError: as ``begin``.
        """
        ...

    async def finish(self, effect: Effect, result: ToolResult) -> ToolResult:
        """Record the result, whether the key was begun or not; answers the result that stands.

        Raises:
            MalhaError: EFFECT_TOMBSTONED, IDEMPOTENCY_CONFLICT.
        """
        ...

    async def resolve(self, tenant: str, key: str) -> ToolResult | Fate:
        """The result if there is one. Otherwise a key that never began, or whose effect may be repeated,
        is tombstoned; one that began an EFFECT_ONCE is UNKNOWN."""
        ...

    async def erase(self, tenant: str, run_id: str) -> None:
        """Delete all of a run, bytes included; its keys are tombstoned from now on."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """What a result answers, for whoever asks the same of the same version of a tool, at the same tier."""

    tenant: str
    tier: Tier
    tool: str
    version: str
    arguments_hash: bytes


class ResultCache(Protocol):
    """Results of EFFECT_READ tools. It may forget anything at any time."""

    async def get(self, question: Question, /) -> ToolResult | None: ...

    async def keep(self, question: Question, result: ToolResult, seconds: float, /) -> None: ...


class Quota(Protocol):
    """How often a user may call a tool."""

    async def take(self, principal: Principal, tool: str, /) -> None:
        """Count one call. Raises MalhaError RATE_LIMITED where there were too many."""
        ...


class Knowledge(Protocol):
    """The current principal's documents."""

    async def search(self, query: str, limit: int) -> Sequence[Passage]:
        """Passages nearest to the query, best first. Raises MalhaError."""
        ...


class PriceProvider(Protocol):
    """One seller of GPU time."""

    @property
    def name(self) -> str: ...

    async def usd_per_hour(self, gpu: str) -> Decimal | None:
        """Its price; None where it does not offer that GPU.

        Raises:
            MalhaError: TOOL_UNAVAILABLE; its message is a clause about the provider, such as
                "answered HTTP 503".
        """
        ...


class NoCache:
    """Keeps nothing: for a mesh without Valkey."""

    async def get(self, _question: Question) -> ToolResult | None:
        return None

    async def keep(self, _question: Question, _result: ToolResult, _seconds: float) -> None:
        return


class NoQuota:
    """Counts nothing: for a mesh without Valkey."""

    async def take(self, _principal: Principal, _tool: str) -> None:
        return
