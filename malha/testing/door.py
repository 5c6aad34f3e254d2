"""A gateway as callers meet it: over sockets, with peers that do as told, and a worker that plays runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from malha.api.gateway.v1 import admin_service_pb2 as admin_pb
from malha.api.gateway.v1 import event_stream_service_pb2 as events_pb
from malha.api.gateway.v1 import run_service_pb2 as runs_pb
from malha.api.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from malha.api.gateway.v1.agent_service_pb2_grpc import AgentServiceStub
from malha.api.gateway.v1.event_stream_service_pb2_grpc import EventStreamServiceStub
from malha.api.gateway.v1.health_service_pb2_grpc import HealthServiceStub
from malha.api.gateway.v1.knowledge_service_pb2_grpc import KnowledgeServiceStub
from malha.api.gateway.v1.operator_service_pb2_grpc import OperatorServiceStub
from malha.api.gateway.v1.run_service_pb2_grpc import RunServiceStub
from malha.errors import MalhaError
from malha.run import Sealer
from malha.run.nats_journal import (
    Connection,
    NatsJournal,
    NatsKeyRing,
    connect,
    read_master_key,
)
from malha.stack.secrets import Secrets
from malha.testing.gateways import running_gateway
from malha.testing.peers import FakePeers
from malha.testing.worker import PlayedRun
from malha.wire import codec

Metadata = tuple[tuple[str, str], ...]
TRACEPARENT = ("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01")


class Door:
    """A running gateway, a caller's stubs, and a worker that plays runs."""

    def __init__(self, target: str, peers: FakePeers, api_key: str, worker: _Worker) -> None:
        self.peers = peers
        self.key: Metadata = (("authorization", f"Bearer {api_key}"),)
        self.worker = worker
        self.channel = grpc.aio.insecure_channel(target)
        self.runs = RunServiceStub(self.channel)
        self.events = EventStreamServiceStub(self.channel)
        self.knowledge = KnowledgeServiceStub(self.channel)
        self.agents = AgentServiceStub(self.channel)
        self.admin = AdminServiceStub(self.channel)
        self.operator = OperatorServiceStub(self.channel)
        self.health = HealthServiceStub(self.channel)

    async def create(self, text: str = "What is 17 * 23?", **fields: Any) -> str:
        """Put a question; the run's id."""
        request = runs_pb.CreateRunRequest(input=text, **fields)
        response = await self.runs.CreateRun(request, metadata=(*self.key, TRACEPARENT), timeout=10)
        return response.run.run_id

    async def new_key(self, **fields: Any) -> Metadata:
        """What a caller with a key made just now sends along."""
        request = admin_pb.CreateApiKeyRequest(subject="bo", **fields)
        made = await self.admin.CreateApiKey(request, metadata=self.key)
        return (("x-api-key", made.api_key),)

    async def drained(self, run_id: str, metadata: Metadata) -> None:
        """Read a run's server-sent events to their end."""
        request = events_pb.StreamRunEventsRequest(run_id=run_id)
        async for _ in self.events.StreamRunEvents(request, metadata=metadata):
            pass


class _Worker:
    """Plays runs as the planner would."""

    def __init__(self, connection: Connection, sealer: Sealer) -> None:
        self.connection = connection
        self.journal = NatsJournal(connection)
        self.sealer = sealer

    def of(self, run_id: str, tenant: str = "dev") -> PlayedRun:
        """The worker of that run."""
        return PlayedRun(self.journal, self.sealer, tenant, run_id)


@asynccontextmanager
async def running(
    tmp_path: Path, secrets: Secrets, nats_url: str, valkey_url: str, **settings: Any
) -> AsyncIterator[Door]:
    """A gateway of these settings, for the length of the block."""
    async with (
        FakePeers(secrets) as peers,
        running_gateway(
            tmp_path, secrets, peers, nats_url=nats_url, valkey_url=valkey_url, **settings
        ) as port,
    ):
        connection = await connect(nats_url, name="worker")
        master = read_master_key(secrets.of("planner") / "master.key")
        worker = _Worker(connection, Sealer(NatsKeyRing(connection, master)))
        door = Door(f"127.0.0.1:{port}", peers, secrets.api_key, worker)
        try:
            yield door
        finally:
            await door.channel.close()
            await connection.close()


async def refusal(call: Awaitable[object]) -> MalhaError:
    """What a call was refused with."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as refused:
        error = codec.from_rpc(refused, "gateway")
        assert "Traceback" not in error.message
        return error
    raise AssertionError(f"it was answered: {answer}")
