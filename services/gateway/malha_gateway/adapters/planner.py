"""The planner, by gRPC: agents and the table of runs. Runs themselves pass through the journal."""

from __future__ import annotations

from collections.abc import Sequence

from malha.api.planner.v1.agent_pb2 import Agent
from malha.api.planner.v1.planner_service_pb2 import (
    ListAgentsRequest,
    ListDeadRunsRequest,
    ListDeadRunsResponse,
    ListRunsRequest,
    ListRunsResponse,
)
from malha.api.planner.v1.planner_service_pb2_grpc import PlannerServiceStub
from malha.wire import Peer

_SECONDS = 5.0


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
