"""The equality of streams: the same events, in order, once each, whatever was cut, at whichever replica."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import grpc.aio
import pytest
from google.protobuf.json_format import Parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from malha.api.gateway.v1.run_pb2 import RunEvent
from malha.api.gateway.v1.run_service_pb2 import StreamRunRequest
from malha.api.gateway.v1.run_service_pb2_grpc import RunServiceStub
from malha.api.run.v1.record_pb2 import StepKind
from malha.client import Client, RunText
from malha.testing.cutting import CuttingProxy
from malha.testing.streams import StreamHouse
from malha.testing.stubs import next_message

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


PIECES = st.lists(st.text("ab é漢😀 ", min_size=1, max_size=12), min_size=1, max_size=40)


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(sse_cuts=OFFSETS, grpc_cuts=OFFSETS, pieces=PIECES, again=st.booleans())
async def test_cut_at_any_byte_the_text_put_together_from_its_parts_is_the_finished_one(
    house: StreamHouse, sse_cuts: list[int], grpc_cuts: list[int], pieces: list[str], again: bool
) -> None:
    run_id, worker = await house.create()
    text = "".join(pieces)
    async with CuttingProxy(house.edge) as one, CuttingProxy(house.edge) as other, asyncio.timeout(30):
        one.offsets.extend(sse_cuts)
        other.offsets.extend(grpc_cuts)
        over_sse = asyncio.create_task(house.over_sse(one.port, run_id, deltas=True))
        over_grpc = asyncio.create_task(house.over_grpc(other.port, run_id, deltas=True))
        await worker.claim()
        await worker.model_asks("calculator", '{"expression": "17 * 23"}')
        await worker.tool_answers("calculator", '{"expression": "17 * 23"}', "391")
        await worker.model_writes(house.deltas, pieces, again=again)
        await worker.answer(text)
        told_sse, told_grpc = await over_sse, await over_grpc
    whole = await house.whole(run_id)
    for told in (told_grpc, [Parse(event.data, RunEvent()) for event in told_sse]):
        assert [event for event in told if not event.HasField("delta")] == whole
        assert_assembled(told)
    assert [event.id for event in told_sse if event.kind == "delta"] == [
        event.position
        for event in (Parse(one.data, RunEvent()) for one in told_sse)
        if event.HasField("delta")
    ]
    for gateway in (0, 1):
        assert_assembled(await house.whole(run_id, gateway=gateway, deltas=True))


def assert_assembled(told: list[RunEvent]) -> None:
    """At the end of each step its text is there, and no part comes later."""
    text, ended = RunText(), set[int]()
    for event in told:
        if text.take(event):
            assert event.delta.step not in ended
        elif event.step_finished.kind == StepKind.STEP_KIND_MODEL:
            assert text.of(event.step_finished.step) == event.step_finished.text
            if event.step_finished.text:
                ended.add(event.step_finished.step)
        elif event.HasField("answered"):
            assert text.text == event.answered.text


async def test_text_is_told_while_it_is_written_to_readers_at_each_replica_and_to_those_who_come_late(
    house: StreamHouse,
) -> None:
    run_id, worker = await house.create()
    request = StreamRunRequest(run_id=run_id, deltas=True)
    async with asyncio.timeout(30), AsyncExitStack() as stack:
        await worker.claim()
        key = await worker.start(StepKind.STEP_KIND_MODEL, "offline-1")
        for door in (*house.gateways, house.edge, house.gateways[0]):
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{door}"))
            stream = RunServiceStub(channel).StreamRun(request, metadata=house.bearer)
            text = RunText()
            while not text.text.startswith("It is written"):
                # told again and again, as a planner tells the whole of it
                reading = asyncio.ensure_future(next_message(stream))
                while not reading.done():
                    await worker.tell(house.deltas, key, ["It is ", "written ", "slowly"])
                    await asyncio.wait([reading], timeout=0.05)
                text.take(reading.result().event)
            stream.cancel()


async def test_who_does_not_ask_for_deltas_is_told_none(house: StreamHouse) -> None:
    run_id, worker = await house.create()
    async with asyncio.timeout(30):
        reading = asyncio.create_task(house.over_grpc(house.edge, run_id))
        listening = asyncio.create_task(house.over_grpc(house.edge, run_id, deltas=True))
        await worker.claim()
        await worker.model_writes(house.deltas, ["It is ", "written"])
        await worker.answer("It is written")
        told, heard = await reading, await listening
    assert told == [event for event in heard if not event.HasField("delta")] == await house.whole(run_id)


async def test_the_python_client_puts_a_text_together_over_cuts(house: StreamHouse) -> None:
    run_id, worker = await house.create()
    pieces = [f"word{number} " for number in range(60)]
    async with CuttingProxy(house.edge) as proxy, Client(f"127.0.0.1:{proxy.port}", house.api_key) as client:
        proxy.offsets.extend([900, 1400, 2500])
        text = RunText()

        async def read() -> None:
            async for event in client.events(run_id, deltas=True):
                text.take(event)

        async with asyncio.timeout(30):
            reading = asyncio.create_task(read())
            await worker.claim()
            await worker.model_writes(house.deltas, pieces)
            await worker.answer("".join(pieces))
            await reading
    assert text.text == "".join(pieces)
    assert proxy.cuts
