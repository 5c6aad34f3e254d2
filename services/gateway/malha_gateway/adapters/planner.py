"""The planner, by gRPC: agents, lists and the archive. Runs themselves pass through the journal."""

from __future__ import annotations

from collections.abc import Sequence

from malha.api.planner.v1.agent_pb2 import Agent
from malha.api.planner.v1.planner_service_pb2 import (
    EraseRunRequest,
    EraseTenantRequest,
    GetArchivedJournalRequest,
    ListAgentsRequest,
    ListDeadRunsRequest,
    ListDeadRunsResponse,
    ListRunsRequest,
    ListRunsResponse,
)
from malha.api.planner.v1.planner_service_pb2_grpc import PlannerServiceStub
from malha.errors import ErrorReason, MalhaError
from malha.run import Entry, unpack
from malha.wire import Peer

_SECONDS = 5.0
_ERASING_SECONDS = 60.0


class PlannerPeer:
    """Agents and lists over the wire."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = PlannerServiceStub(peer.channel)

    async def agents(self) -> Sequence[Agent]:
        """The agents within reach, the default first."""
        response = await self._peer.call(
            self._stub.ListAgents, ListAgentsRequest(), timeout=_SECONDS, idempotent=True
        )
        return response.agents

    async def runs(self, filter_: str, page_size: int, page_token: str) -> ListRunsResponse:
        """A page of the tenant's runs."""
        request = ListRunsRequest(filter=filter_, page_size=page_size, page_token=page_token)
        return await self._peer.call(self._stub.ListRuns, request, timeout=_SECONDS, idempotent=True)

    async def dead_runs(self, tenant: str, page_size: int, page_token: str) -> ListDeadRunsResponse:
        """A page of the dead, of one tenant or of all."""
        request = ListDeadRunsRequest(tenant=tenant, page_size=page_size, page_token=page_token)
        return await self._peer.call(self._stub.ListDeadRuns, request, timeout=_SECONDS, idempotent=True)

    async def entries(self, tenant: str, run_id: str) -> list[Entry]:
        """An archived journal of the current principal's tenant, as `malha.run.Archive` answers it."""
        entries: list[Entry] = []
        request = GetArchivedJournalRequest(run_id=run_id)
        while True:
            try:
                page = await self._peer.call(
                    self._stub.GetArchivedJournal, request, timeout=_SECONDS, idempotent=True
                )
            except MalhaError as error:
                if error.reason == ErrorReason.ERROR_REASON_RUN_NOT_FOUND:
                    return []  # erased meanwhile
                raise
            entries += unpack(page.journal.records)
            if any(entry.record.tenant != tenant for entry in entries):
                raise ValueError("a journal of another tenant")
            if not page.more:
                return entries
            request.after = entries[-1].sequence

    async def erase_run(self, run_id: str) -> None:
        """Erase a run of the tenant; done when this returns."""
        await self._peer.call(
            self._stub.EraseRun, EraseRunRequest(run_id=run_id), timeout=_ERASING_SECONDS, idempotent=True
        )

    async def erase_tenant(self, tenant: str) -> int:
        """Erase a tenant's runs and its key; how many runs there were."""
        answer = await self._peer.call(
            self._stub.EraseTenant,
            EraseTenantRequest(tenant=tenant),
            timeout=_ERASING_SECONDS,
            idempotent=True,
        )
        return int(answer.runs)
