"""Callers of a whole mesh over both ways in, REST and gRPC, and what they are refused with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import aiohttp
import grpc.aio

from malha.api.common.v1.principal_pb2 import Tier
from malha.api.gateway.v1 import agent_service_pb2_grpc, knowledge_service_pb2_grpc, run_service_pb2_grpc
from malha.client import Client
from malha.testing.mesh import Mesh, bearer
from malha.testing.refusals import Refusal, of_call, of_response

OWNER = "xerxes-holding"
"""A tenant whose name nobody else may read."""


@dataclass
class Caller:
    """Both ways in, with one key.

    What it is refused with names nothing internal, and no other tenant: `OWNER` stands for them.
    """

    key: str
    rest: aiohttp.ClientSession
    channel: grpc.aio.Channel
    client: Client
    metadata: Any = field(init=False)

    def __post_init__(self) -> None:
        self.metadata = bearer(self.key) if self.key else ()
        self.runs = run_service_pb2_grpc.RunServiceStub(self.channel)
        self.knowledge = knowledge_service_pb2_grpc.KnowledgeServiceStub(self.channel)
        self.agents = agent_service_pb2_grpc.AgentServiceStub(self.channel)

    async def refused(self, method: str, path: str, **more: Any) -> Refusal:
        """What REST says."""
        async with self.rest.request(method, path, **more) as response:
            return self._nobodys_secret(await of_response(response))

    async def refused_call(self, method: Any, request: Any) -> Refusal:
        """What gRPC says."""
        return self._nobodys_secret(await of_call(method(request, metadata=self.metadata, timeout=30)))

    def _nobodys_secret(self, refusal: Refusal) -> Refusal:
        assert OWNER not in str(refusal.status)
        return refusal


class Callers:
    """Makes callers, and closes what they opened."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._opened: list[Caller] = []

    async def with_key(self, key: str) -> Caller:
        """A caller with this key, or with none where it is empty."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        rest = aiohttp.ClientSession(self._mesh.rest_url, headers=headers)
        channel = grpc.aio.insecure_channel(self._mesh.grpc_target)
        self._opened.append(Caller(key, rest, channel, self._mesh.client(key)))
        return self._opened[-1]

    async def of(self, tenant: str, *scopes: str, tier: Tier = Tier.TIER_ENTERPRISE) -> Caller:
        """A caller of a tenant, with a new key; without scopes it may have runs and knowledge."""
        return await self.with_key(await self._mesh.key_of(tenant, *scopes, tier=tier))

    async def close(self) -> None:
        """Close what all callers opened."""
        for caller in self._opened:
            await caller.rest.close()
            await caller.client.__aexit__(None, None, None)
            await caller.channel.close()
