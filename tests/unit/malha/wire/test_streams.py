"""An error in the middle of a stream arrives whole, and a caller who goes frees what was held for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import pytest

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.gateway.v1 import run_service_pb2 as runs_pb
from malha.api.gateway.v1 import run_service_pb2_grpc as runs_grpc
from malha.api.gateway.v1.run_pb2 import RunEvent
from malha.errors import unavailable
from malha.telemetry import metrics
from malha.testing.stubs import in_part, next_message
from malha.wire import Server, codec

ASK = runs_pb.StreamRunRequest(run_id="a" * 52)


class Streams(runs_grpc.RunServiceServicer):
    """One event; then it fails, goes on for ever, or waits."""

    def __init__(self) -> None:
        self.then = "wait"
        self.left = asyncio.Event()

    async def StreamRun(
        self, request: runs_pb.StreamRunRequest, context: object
    ) -> AsyncIterator[runs_pb.StreamRunResponse]:
        del request, context
        event = runs_pb.StreamRunResponse(event=RunEvent(position="1.0"))
        try:
            yield event
            if self.then == "fail":
                raise unavailable("journal", retry_after=2)
            while self.then == "talk":
                yield event
            await asyncio.Event().wait()
        finally:
            self.left.set()


async def anyone(_metadata: object) -> Principal:
    return Principal(tenant="dev")


@asynccontextmanager
async def streams() -> AsyncIterator[tuple[Streams, runs_grpc.RunServiceAsyncStub]]:
    servicer = in_part(Streams)
    server = Server("gateway", authenticate=anyone, max_streams=1)
    server.add(runs_grpc.add_RunServiceServicer_to_server, servicer)
    port = await server.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield servicer, runs_grpc.RunServiceStub(channel)
    await server.drain(0)


async def test_an_error_after_the_first_response_arrives_with_its_facts() -> None:
    async with streams() as (servicer, stub):
        servicer.then = "fail"
        call = stub.StreamRun(ASK)
        assert (await next_message(call)).event.position == "1.0"
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
        error = codec.from_rpc(raised.value, "gateway")
        assert (error.reason_name, error.retry_after) == ("DEPENDENCY_UNAVAILABLE", 2)


@pytest.mark.parametrize("then", ["wait", "talk"])
async def test_a_caller_who_hangs_up_frees_the_handler_and_its_place(then: str) -> None:
    async with streams() as (servicer, stub), asyncio.timeout(10):
        servicer.then = then
        for _ in range(3):  # there is one place
            servicer.left.clear()
            call = stub.StreamRun(ASK)
            assert (await next_message(call)).event.position == "1.0"
            call.cancel()
            await servicer.left.wait()
        assert metrics.RPC_IN_FLIGHT._value.get() == 0
