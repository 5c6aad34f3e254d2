"""The real edge before a gateway that answers by script."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import pytest_asyncio
from google.api import httpbody_pb2

from malha.api.gateway.v1 import (
    event_stream_service_pb2_grpc,
    health_service_pb2,
    health_service_pb2_grpc,
    knowledge_service_pb2,
    knowledge_service_pb2_grpc,
    run_pb2,
    run_service_pb2,
    run_service_pb2_grpc,
)
from malha.errors import MalhaError
from malha.stack.edge import envoy
from malha.stack.free_ports import free_port
from malha.testing.servers import RunningServer
from malha.testing.stubs import in_part
from malha.wire import codec

RUN = "a" * 52
Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class ScriptedGateway(
    run_service_pb2_grpc.RunServiceServicer,
    event_stream_service_pb2_grpc.EventStreamServiceServicer,
    knowledge_service_pb2_grpc.KnowledgeServiceServicer,
    health_service_pb2_grpc.HealthServiceServicer,
):
    """Answers what the test told it to; keeps the last request and its metadata."""

    error: MalhaError | None = None
    request: Any = None
    metadata: dict[str, str] = field(default_factory=dict)
    remaining: float | None = None
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    def forget(self) -> None:
        self.__init__()  # type: ignore[misc] # the state of a fresh one

    async def note(self, request: object, context: Context) -> None:
        self.request = request
        self.metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
        self.remaining = context.time_remaining()
        if self.error:
            await codec.abort(context, self.error)

    async def CreateRun(
        self, request: run_service_pb2.CreateRunRequest, context: Context
    ) -> run_service_pb2.CreateRunResponse:
        await self.note(request, context)
        return run_service_pb2.CreateRunResponse(run=run_pb2.Run(run_id=RUN, input=request.input))

    async def CancelRun(
        self, request: run_service_pb2.CancelRunRequest, context: Context
    ) -> run_service_pb2.CancelRunResponse:
        await self.note(request, context)
        return run_service_pb2.CancelRunResponse()

    async def ListRuns(
        self, request: run_service_pb2.ListRunsRequest, context: Context
    ) -> run_service_pb2.ListRunsResponse:
        await self.note(request, context)
        return run_service_pb2.ListRunsResponse(runs=[run_pb2.Run(run_id=RUN)])

    async def StreamRun(
        self, request: run_service_pb2.StreamRunRequest, context: Context
    ) -> AsyncIterator[run_service_pb2.StreamRunResponse]:
        await self.note(request, context)
        for position in ("1.0", "2.0"):
            yield run_service_pb2.StreamRunResponse(event=run_pb2.RunEvent(position=position))
            await self.go_on.wait()

    async def StreamRunEvents(
        self, request: object, context: Context
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        await self.note(request, context)
        for text in (b": hello\n\n", b"id: 1.0\nevent: accepted\ndata: {}\n\n"):
            yield httpbody_pb2.HttpBody(content_type="text/event-stream", data=text)
            await self.go_on.wait()

    async def Ingest(
        self, request: knowledge_service_pb2.IngestRequest, context: Context
    ) -> knowledge_service_pb2.IngestResponse:
        await self.note(request, context)
        return knowledge_service_pb2.IngestResponse()

    async def CheckHealth(self, request: object, context: Context) -> health_service_pb2.CheckHealthResponse:
        await self.note(request, context)
        return health_service_pb2.CheckHealthResponse(status="ready")


class Edge:
    """The edge under test, and the gateway behind it, which can go and come back."""

    def __init__(self, rest: aiohttp.ClientSession, target: str, port: int) -> None:
        self.rest = rest
        self.target = target
        self.port = port
        self.gateway: ScriptedGateway

    async def start(self) -> None:
        self.gateway = in_part(ScriptedGateway)
        self.server = grpc.aio.server(options=(("grpc.max_receive_message_length", 20 << 20),))
        run_service_pb2_grpc.add_RunServiceServicer_to_server(self.gateway, self.server)
        event_stream_service_pb2_grpc.add_EventStreamServiceServicer_to_server(self.gateway, self.server)
        knowledge_service_pb2_grpc.add_KnowledgeServiceServicer_to_server(self.gateway, self.server)
        health_service_pb2_grpc.add_HealthServiceServicer_to_server(self.gateway, self.server)
        self.server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self.server.start()


@pytest.fixture(scope="session")
def edge_server(tmp_state: Path) -> Iterator[tuple[RunningServer, int]]:
    port, gateway = free_port(), free_port()
    server = RunningServer(envoy(tmp_state, port=port, gateways=[gateway]), tmp_state / "edge.log")
    server.start()
    yield server, gateway
    server.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_edge(edge_server: tuple[RunningServer, int]) -> AsyncIterator[Edge]:
    # One event loop for all tests of a module: grpc.aio 1.78 crashes where a
    # loop ends soon after a call was reset.
    server, port = edge_server
    async with aiohttp.ClientSession(server.url) as rest:
        edge = Edge(rest, server.url.removeprefix("http://"), port)
        await edge.start()
        yield edge
        await edge.server.stop(1)


@pytest.fixture
def edge(running_edge: Edge) -> Edge:
    running_edge.gateway.forget()
    return running_edge
