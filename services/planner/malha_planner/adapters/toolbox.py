"""The tools service."""

from __future__ import annotations

from collections.abc import Sequence

from malha.api.tools.v1.tool_pb2 import Tool
from malha.api.tools.v1.tools_service_pb2 import (
    EraseRunRequest,
    ExecuteRequest,
    ExecuteResponse,
    ListToolsRequest,
    ResolveRequest,
    ResolveResponse,
)
from malha.api.tools.v1.tools_service_pb2_grpc import ToolsServiceStub
from malha.clock import Clock
from malha.wire import Peer, current

_SECONDS = 5.0
_FRESH = 5.0
"""Seconds a list of tools is used again: a hop less for each run, and Execute checks access anyway."""
_ERASING = 20.0  # the records' file may have to be written anew
_REMEMBERED = 1024


class ToolsPeer:
    """`malha_planner.ports.Toolbox` and `malha_planner.ports.Effects` over gRPC."""

    def __init__(self, peer: Peer, clock: Clock) -> None:
        self._peer = peer
        self._stub = ToolsServiceStub(peer.channel)
        self._clock = clock
        self._lists: dict[tuple[str, int], tuple[float, Sequence[Tool]]] = {}

    async def list(self) -> Sequence[Tool]:
        principal = current().principal
        who = principal.tenant, principal.tier
        known = self._lists.get(who)
        if known is not None and known[0] > self._clock.monotonic():
            return known[1]
        answer = await self._peer.call(
            self._stub.ListTools, ListToolsRequest(), timeout=_SECONDS, idempotent=True
        )
        if len(self._lists) >= _REMEMBERED:
            self._lists.clear()
        self._lists[who] = self._clock.monotonic() + _FRESH, answer.tools
        tools: Sequence[Tool] = answer.tools
        return tools

    async def execute(self, request: ExecuteRequest, *, timeout: float) -> ExecuteResponse:
        # the effect key makes it safe to ask again: what ran is answered from its record
        answer: ExecuteResponse = await self._peer.call(
            self._stub.Execute, request, timeout=timeout, idempotent=True
        )
        return answer

    async def resolve(self, request: ResolveRequest) -> ResolveResponse:
        answer: ResolveResponse = await self._peer.call(
            self._stub.Resolve, request, timeout=_SECONDS, idempotent=True
        )
        return answer

    async def erase(self, run_id: str) -> None:
        await self._peer.call(
            self._stub.EraseRun, EraseRunRequest(run_id=run_id), timeout=_ERASING, idempotent=True
        )
