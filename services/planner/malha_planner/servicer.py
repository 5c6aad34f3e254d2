"""PlannerService: RPC in, idea, RPC out."""

from __future__ import annotations

from typing import Any

import grpc.aio

from malha.api.planner.v1.planner_service_pb2 import (
    EraseRunRequest,
    EraseRunResponse,
    EraseTenantRequest,
    EraseTenantResponse,
    GetArchivedJournalRequest,
    GetArchivedJournalResponse,
    ListAgentsRequest,
    ListAgentsResponse,
    ListDeadRunsRequest,
    ListDeadRunsResponse,
    ListRunsRequest,
    ListRunsResponse,
)
from malha.api.planner.v1.planner_service_pb2_grpc import PlannerServiceServicer
from malha.wire import current
from malha_planner.agents import Catalogue
from malha_planner.archived_pages import page
from malha_planner.erase_requests import EraseRequests
from malha_planner.listing import list_dead, list_runs
from malha_planner.ports import RunsTable, Shelf

Context = grpc.aio.ServicerContext[Any, Any]


class PlannerServicer(PlannerServiceServicer):
    """What the gateway asks about agents and past runs."""

    def __init__(self, catalogue: Catalogue, table: RunsTable, shelf: Shelf, requests: EraseRequests) -> None:
        self._catalogue = catalogue
        self._table = table
        self._shelf = shelf
        self._requests = requests

    async def ListAgents(self, _request: ListAgentsRequest, _context: Context) -> ListAgentsResponse:
        agents = self._catalogue.within_reach(current().principal)
        return ListAgentsResponse(agents=[agent.card for agent in agents])

    async def ListRuns(self, request: ListRunsRequest, _context: Context) -> ListRunsResponse:
        return await list_runs(self._table, current().principal.tenant, request)

    async def ListDeadRuns(self, request: ListDeadRunsRequest, _context: Context) -> ListDeadRunsResponse:
        return await list_dead(self._table, current().principal, request)

    async def GetArchivedJournal(
        self, request: GetArchivedJournalRequest, _context: Context
    ) -> GetArchivedJournalResponse:
        tenant = current().principal.tenant
        return page(await self._shelf.records(tenant, request.run_id), after=request.after)

    async def EraseRun(self, request: EraseRunRequest, _context: Context) -> EraseRunResponse:
        await self._requests.erase_run(current().principal, request.run_id)
        return EraseRunResponse()

    async def EraseTenant(self, request: EraseTenantRequest, _context: Context) -> EraseTenantResponse:
        return EraseTenantResponse(
            runs=await self._requests.erase_tenant(current().principal, request.tenant)
        )
