"""What gRPC callers of the edge get: their calls as they are, and refusals with the same details."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
import pytest
import pytest_asyncio
from google.rpc import code_pb2, error_details_pb2, status_pb2

from malha.api.gateway.v1 import (
    knowledge_service_pb2,
    knowledge_service_pb2_grpc,
    run_service_pb2,
    run_service_pb2_grpc,
)
from malha.testing.stubs import next_message

if TYPE_CHECKING:
    from tests.integration.edge.conftest import Edge

pytestmark = pytest.mark.asyncio(loop_scope="module")
RUN = "a" * 52


@pytest_asyncio.fixture(loop_scope="module")
async def channel(edge: Edge) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(edge.target) as channel:
        yield channel


async def test_a_call_and_its_deadline_pass_through(edge: Edge, channel: grpc.aio.Channel) -> None:
    stub = run_service_pb2_grpc.RunServiceStub(channel)
    response = await stub.CreateRun(run_service_pb2.CreateRunRequest(input="hi"), timeout=5)
    assert response.run.run_id == RUN
    assert edge.gateway.remaining is not None
    assert 3 < edge.gateway.remaining < 5.5  # gRPC rounds a timeout up


async def test_a_stream_passes_message_by_message(edge: Edge, channel: grpc.aio.Channel) -> None:
    stream = run_service_pb2_grpc.RunServiceStub(channel).StreamRun(
        run_service_pb2.StreamRunRequest(run_id=RUN)
    )
    assert (await next_message(stream)).event.position == "1.0"
    edge.gateway.go_on.set()
    assert (await next_message(stream)).event.position == "2.0"
    assert await stream.read() is grpc.aio.EOF


async def test_a_request_over_the_size_limit_is_refused(edge: Edge, channel: grpc.aio.Channel) -> None:
    stub = knowledge_service_pb2_grpc.KnowledgeServiceStub(channel)
    request = knowledge_service_pb2.IngestRequest()
    request.documents.add(text="x" * 18 * 1024 * 1024)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Ingest(request)
    assert reason(refused.value) == "REQUEST_TOO_LARGE"
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert details(refused.value).code == code_pb2.INVALID_ARGUMENT


async def test_a_gateway_that_is_away_is_unavailable_with_the_time_to_wait(
    edge: Edge, channel: grpc.aio.Channel
) -> None:
    await edge.server.stop(1)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await run_service_pb2_grpc.RunServiceStub(channel).CreateRun(
            run_service_pb2.CreateRunRequest(input="hi")
        )
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert reason(refused.value) == "DEPENDENCY_UNAVAILABLE"
    wait = error_details_pb2.RetryInfo()
    assert details(refused.value).details[1].Unpack(wait)
    assert wait.retry_delay.seconds == 1
    await edge.start()


async def test_a_service_that_is_not_the_callers_business_is_not_there(
    edge: Edge, channel: grpc.aio.Channel
) -> None:
    settle: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        "/malha.api.cost.v1.CostService/Settle"
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await settle(b"")
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert details(refused.value).code == code_pb2.UNIMPLEMENTED  # or clients take neither for true
    assert reason(refused.value) == "ROUTE_NOT_FOUND"


def details(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    metadata = error.trailing_metadata()
    assert metadata is not None
    return status_pb2.Status.FromString(metadata["grpc-status-details-bin"])


def reason(error: grpc.aio.AioRpcError) -> str:
    info = error_details_pb2.ErrorInfo()
    assert details(error).details[0].Unpack(info)
    return str(info.reason)
