"""The equality of streams: the same events, in order, once each, whatever was cut, at whichever replica."""

from __future__ import annotations

import asyncio

import pytest
from google.protobuf.json_format import Parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from malha.api.gateway.v1.run_pb2 import RunEvent
from malha.client import Client
from malha.testing.cutting import CuttingProxy
from malha.testing.streams import StreamHouse

pytestmark = pytest.mark.asyncio(loop_scope="module")
OFFSETS = st.lists(st.integers(0, 6000), max_size=6)


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,  # each example is a run on real servers: the same ones every time
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(sse_cuts=OFFSETS, grpc_cuts=OFFSETS, tools=st.integers(0, 4))
async def test_cut_at_any_byte_and_come_back_to_any_replica_the_events_are_the_same(
    house: StreamHouse, sse_cuts: list[int], grpc_cuts: list[int], tools: int
) -> None:
    run_id, worker = await house.create()
    async with CuttingProxy(house.edge) as one, CuttingProxy(house.edge) as other, asyncio.timeout(30):
        one.offsets.extend(sse_cuts)
        other.offsets.extend(grpc_cuts)
        over_sse = asyncio.create_task(house.over_sse(one.port, run_id))
        over_grpc = asyncio.create_task(house.over_grpc(other.port, run_id))
        await worker.play(tool_calls=tools)
        told_sse, told_grpc = await over_sse, await over_grpc
    whole = await house.whole(run_id)
    assert whole == await house.whole(run_id, gateway=1), "replicas tell the same"
    assert told_grpc == whole
    assert [event.id for event in told_sse] == [event.position for event in whole]
    assert [event.kind for event in told_sse] == [event.WhichOneof("event") for event in whole]
    assert [Parse(event.data, RunEvent()) for event in told_sse] == whole


async def test_the_python_client_comes_back_by_itself(house: StreamHouse) -> None:
    run_id, worker = await house.create()
    async with CuttingProxy(house.edge) as proxy, Client(f"127.0.0.1:{proxy.port}", house.api_key) as client:
        proxy.offsets.extend([1500, 2500])

        async def read() -> list[RunEvent]:
            return [event async for event in client.events(run_id)]

        async with asyncio.timeout(30):
            reading = asyncio.create_task(read())
            await worker.play(tool_calls=4)
            told = await reading
    assert told == await house.whole(run_id)
    assert proxy.cuts == 2
