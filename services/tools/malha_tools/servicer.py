"""ToolsService: RPC in, execution, RPC out."""

from __future__ import annotations

from typing import Any

import grpc.aio

from malha.api.tools.v1 import tools_service_pb2 as pb
from malha.api.tools.v1.tools_service_pb2_grpc import ToolsServiceServicer
from malha.wire import current
from malha_tools.execution import Execution
from malha_tools.ports import EffectRecords
from malha_tools.registry import Registry

Context = grpc.aio.ServicerContext[Any, Any]


class ToolsServicer(ToolsServiceServicer):
    """Serves the contract ``malha.api.tools.v1.ToolsService``."""

    def __init__(self, registry: Registry, execution: Execution, records: EffectRecords) -> None:
        self._registry = registry
        self._execution = execution
        self._records = records

    async def ListTools(self, _request: pb.ListToolsRequest, _context: Context) -> pb.ListToolsResponse:
        return pb.ListToolsResponse(tools=self._registry.within(current().principal.tier))

    async def Execute(self, request: pb.ExecuteRequest, _context: Context) -> pb.ExecuteResponse:
        call = current()
        return pb.ExecuteResponse(
            result=await self._execution.execute(call.principal, request, call.deadline)
        )

    async def Resolve(self, request: pb.ResolveRequest, _context: Context) -> pb.ResolveResponse:
        return await self._execution.resolve(current().principal, request.key)

    async def EraseRun(self, request: pb.EraseRunRequest, _context: Context) -> pb.EraseRunResponse:
        await self._records.erase(current().principal.tenant, request.run_id)
        return pb.EraseRunResponse()
