"""Tools: an effect key runs once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import orjson

from malha.api.run.v1.chat_pb2 import Citation
from malha.api.run.v1.record_pb2 import Effect, Risk, StepOutcome
from malha.api.tools.v1.tool_pb2 import Tool
from malha.api.tools.v1.tools_service_pb2 import (
    ExecuteRequest,
    ExecuteResponse,
    Resolution,
    ResolveRequest,
    ResolveResponse,
    ToolResult,
)
from malha.errors import ErrorReason, MalhaError
from malha_tools.clearing import check_clearance

ToolFunction = Callable[[dict[str, object]], Awaitable[ToolResult]]


def found(text: str, *, citations: Sequence[Citation] = ()) -> ToolResult:
    """A tool's result."""
    return ToolResult(outcome=StepOutcome.STEP_OUTCOME_OK, text=text, citations=citations)


class MemoryToolbox:
    """Tools that are coroutine functions, with effect records."""

    def __init__(self) -> None:
        self._tools: dict[str, tuple[Tool, ToolFunction]] = {}
        self.ran: list[tuple[str, str]] = []
        """(key, tool) of every call that reached a tool."""
        self.records: dict[str, ToolResult | None] = {}
        """Results by effect key; None: begun, outcome unknown."""
        self.tombstones: set[str] = set()

    def add(
        self,
        name: str,
        function: ToolFunction,
        *,
        effect: Effect = Effect.EFFECT_READ,
        price: int = 0,
        harmless: bool = True,
        risk: Risk = Risk.RISK_UNSPECIFIED,
        version: str = "1",
    ) -> None:
        """Offer a tool."""
        tool = Tool(
            name=name,
            version=version,
            description=name,
            input_schema_json='{"type": "object"}',
            effect=effect,
            price_microusd=price,
            harmless=harmless,
            risk=risk,
        )
        tool.timeout.seconds = 10
        self._tools[name] = tool, function

    async def list(self) -> Sequence[Tool]:
        return [tool for tool, _ in self._tools.values()]

    async def execute(self, request: ExecuteRequest, *, timeout: float) -> ExecuteResponse:
        del timeout
        if request.key in self.tombstones:
            raise MalhaError(ErrorReason.ERROR_REASON_EFFECT_TOMBSTONED, "never")
        if request.tool not in request.allowed_tools:
            raise MalhaError(ErrorReason.ERROR_REASON_TOOL_NOT_FOUND, "no such tool")
        if (recorded := self.records.get(request.key)) is not None:
            return ExecuteResponse(result=recorded)
        if request.key in self.records:
            raise MalhaError(ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN, "it began")
        tool, function = self._tools[request.tool]
        arguments = orjson.loads(request.arguments_json)
        check_clearance(tool, arguments, request.clearance)
        if tool.effect == Effect.EFFECT_ONCE:
            self.records[request.key] = None
        self.ran.append((request.key, request.tool))
        result = await function(arguments)
        if not result.price_microusd:
            result.price_microusd = tool.price_microusd
        self.records[request.key] = result
        return ExecuteResponse(result=result)

    async def resolve(self, request: ResolveRequest) -> ResolveResponse:
        if request.key not in self.records:
            self.tombstones.add(request.key)
            return ResolveResponse(resolution=Resolution.RESOLUTION_TOMBSTONED)
        result = self.records[request.key]
        if result is None:
            return ResolveResponse(resolution=Resolution.RESOLUTION_UNKNOWN)
        return ResolveResponse(resolution=Resolution.RESOLUTION_RESULT, result=result)

    async def erase(self, run_id: str) -> None:
        """Forget what ran for a run, as `malha_planner.ports.Effects`."""
        self.records = {key: result for key, result in self.records.items() if f"/{run_id}/" not in key}
