"""A stream of the client: resumed where it broke, ended at the mesh where its reader leaves or closes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from malha.api.gateway.v1.run_pb2 import RUN_STATUS_SUCCEEDED, RunEvent
from malha.api.gateway.v1.run_service_pb2 import StreamRunRequest, StreamRunResponse
from malha.api.gateway.v1.run_service_pb2_grpc import RunServiceServicer, add_RunServiceServicer_to_server
from malha.client import Client
from malha.testing.stubs import in_part

RUN = "a" * 52
Context = grpc.aio.ServicerContext[Any, Any]


class Runs(RunServiceServicer):
    """Tells of three events. A stream breaks after the first as often as it is told to; a held one stays."""

    def __init__(self) -> None:
        self.breaks: list[grpc.StatusCode] = []
        self.held = False
        self.asked: list[str] = []
        self.left = asyncio.Event()

    async def StreamRun(
        self, request: StreamRunRequest, context: Context
    ) -> AsyncIterator[StreamRunResponse]:
        self.asked.append(request.after)
        try:
            for place in range(int(request.after or 0), 3):
                event = RunEvent(position=str(place + 1))
                if place == 2:
                    event.finished.status = RUN_STATUS_SUCCEEDED
                yield StreamRunResponse(event=event)
                if self.breaks:
                    await context.abort(self.breaks.pop(), "Received RST_STREAM with error code 2")
                if self.held:
                    await asyncio.Event().wait()
        finally:
            self.left.set()


@pytest_asyncio.fixture
async def runs() -> Runs:
    return in_part(Runs)


@pytest_asyncio.fixture
async def client(runs: Runs) -> AsyncIterator[Client]:
    server = grpc.aio.server()
    add_RunServiceServicer_to_server(runs, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with Client(f"127.0.0.1:{port}", "a key") as client:
        yield client
    await server.stop(0)


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE])
async def test_a_stream_that_breaks_off_without_a_reason_goes_on_where_it_broke(
    runs: Runs, client: Client, code: grpc.StatusCode
) -> None:
    """Envoy resets a stream whose gateway died; gRPC's word for that is INTERNAL."""
    runs.breaks = [code]
    assert [event.position async for event in client.events(RUN)] == ["1", "2", "3"]
    assert runs.asked == ["", "1"]


async def test_a_reader_that_leaves_early_ends_the_stream_at_the_mesh(runs: Runs, client: Client) -> None:
    runs.held = True
    async for _ in client.events(RUN):
        break
    await asyncio.wait_for(runs.left.wait(), 5)


async def test_who_reads_a_stream_of_a_client_that_is_closed_does_not_wait_for_ever(
    runs: Runs, client: Client
) -> None:
    runs.held = True
    first = asyncio.Event()

    async def read() -> None:
        async for _ in client.events(RUN):
            first.set()

    async with client:
        reading = asyncio.create_task(read())
        await asyncio.wait_for(first.wait(), 5)
    done, _ = await asyncio.wait([reading], timeout=5)
    assert done
