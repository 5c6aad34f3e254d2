"""Readers that are slow, stand still, vanish, or come and go: bounded, told, and harmless to all others."""

from __future__ import annotations

import asyncio
import gc

import aiohttp
import grpc
import grpc.aio
import pytest

from malha.api.gateway.v1 import run_service_pb2
from malha.api.gateway.v1.run_service_pb2_grpc import RunServiceStub
from malha.run.nats_journal.journal import NatsDoorbell
from malha.telemetry import metrics
from malha.testing import sse
from malha.testing.faults.links import Link
from malha.testing.streams import StreamHouse, followed, nobody_follows
from malha.testing.stubs import next_message
from malha.wire import codec

pytestmark = pytest.mark.asyncio(loop_scope="module")

LARGE = "x" * 400_000
"""A tool's answer, twice in its record."""
READS_NOTHING_AHEAD = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65536))


async def large_run(house: StreamHouse) -> str:
    """A run that is over, of about twelve megabytes: more than all that lies between it and a reader."""
    run_id, worker = await house.create()
    await worker.play(LARGE, tool_calls=30)
    return run_id


def let_go() -> float:
    return float(metrics.GATEWAY_READERS_LET_GO._value.get())


async def until_let_go(readers: float) -> None:
    async with asyncio.timeout(20):
        while let_go() < readers:  # noqa: ASYNC110 - a metric has no event
            await asyncio.sleep(0.01)


async def test_a_grpc_reader_that_takes_nothing_is_let_go_told_and_resumes_without_a_gap(
    house: StreamHouse,
) -> None:
    run_id = await large_run(house)
    whole = await house.whole(run_id)
    before = let_go()
    target = f"127.0.0.1:{house.gateways[0]}"
    async with grpc.aio.insecure_channel(target, options=READS_NOTHING_AHEAD) as channel:
        request = run_service_pb2.StreamRunRequest(run_id=run_id)
        call = RunServiceStub(channel).StreamRun(request, metadata=house.bearer)
        seen = [(await next_message(call)).event]
        await until_let_go(before + 1)
        await nobody_follows()
        told = None
        while told is None:
            try:
                seen.append((await next_message(call)).event)
            except grpc.aio.AioRpcError as error:
                told = codec.from_rpc(error, "gateway")
    assert told.reason_name == "READER_TOO_SLOW"
    assert told.metadata["after"] == seen[-1].position
    assert len(seen) < len(whole)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{house.gateways[1]}") as channel:
        resumed = run_service_pb2.StreamRunRequest(run_id=run_id, after=seen[-1].position)
        call = RunServiceStub(channel).StreamRun(resumed, metadata=house.bearer)
        seen += [answer.event async for answer in call]
    assert seen == whole


async def test_an_sse_reader_that_takes_nothing_is_told_by_an_error_event_and_resumes_without_a_gap(
    house: StreamHouse,
) -> None:
    run_id = await large_run(house)
    whole = await house.whole(run_id)
    before = let_go()
    told: list[sse.ServerSentEvent] = []
    async with house.rest(house.edge, room=16_384) as session:
        stream = sse.events(session, run_id)
        told.append(await anext(stream))
        await until_let_go(before + 1)
        told += [event async for event in stream]
        *seen, error = told
        assert (error.kind, error.id) == ("error", "")
        assert '"reason":"READER_TOO_SLOW"' in error.data.replace(" ", "")
        assert f'"after":"{seen[-1].id}"' in error.data.replace(" ", "")
        assert len(seen) < len(whole)
        seen += [event async for event in sse.events(session, run_id, after=seen[-1].id)]
    assert [event.id for event in seen] == [event.position for event in whole]


async def test_readers_that_stand_still_harm_nobody_behind_the_same_edge(house: StreamHouse) -> None:
    """Each of them holds as much as the edge will take for it; a hundred more runs go through beside them."""
    run_id = await large_run(house)
    whole = await house.whole(run_id)
    stuck: list[aiohttp.ClientSession] = []
    try:
        for _ in range(24):
            session = house.rest(house.edge, room=16_384)
            stuck.append(session)
            await session.get(f"/v1/runs/{run_id}/events")
        async with asyncio.timeout(30):
            other, worker = await house.create()
            over_sse = asyncio.create_task(house.over_sse(house.edge, other))
            over_grpc = asyncio.create_task(house.over_grpc(house.edge, other))
            await worker.play(tool_calls=3)
            assert len(await over_sse) == len(await over_grpc) == 6 + 4 * 3
            same = await house.over_sse(house.edge, run_id)
            assert [event.id for event in same] == [event.position for event in whole]
            async with house.rest(house.edge) as session:
                run = await (await session.get(f"/v1/runs/{other}")).json()
                assert run["status"] == "RUN_STATUS_SUCCEEDED"
    finally:
        for session in stuck:
            await session.close()
    await nobody_follows()


async def test_a_reader_that_vanishes_without_a_word_is_cleaned_up(house: StreamHouse) -> None:
    """The wire falls silent both ways, and no FIN ever comes."""
    run_id, worker = await house.create()
    link = Link("reader-gateway", lambda: house.gateways[0])
    await link.start()
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{link.port}")
    try:
        request = run_service_pb2.StreamRunRequest(run_id=run_id)
        call = RunServiceStub(channel).StreamRun(request, metadata=house.bearer)
        assert (await next_message(call)).event.WhichOneof("event") == "accepted"
        assert followed() == 1
        link.open.clear()
        await nobody_follows()
        call.cancel()
    finally:
        await channel.close()
        await link.close()
    await worker.play()
    assert len(await house.whole(run_id)) == 10


async def test_a_thousand_readers_that_come_and_go_leave_nothing_behind(house: StreamHouse) -> None:
    run_id, worker = await house.create()
    await worker.claim()
    await nobody_follows()

    async def come_and_go(place: int) -> None:
        if place % 2:
            request = run_service_pb2.StreamRunRequest(run_id=run_id)
            call = house.runs.StreamRun(request, metadata=house.bearer)
            await call.read()
            call.cancel()
        else:
            async with house.rest(house.edge) as session:
                stream = sse.events(session, run_id)
                await anext(stream)
                await stream.aclose()

    def doorbells() -> int:
        gc.collect()
        return sum(isinstance(one, NatsDoorbell) for one in gc.get_objects())

    tasks = len(asyncio.all_tasks())
    for start in range(0, 1000, 50):
        await asyncio.gather(*(come_and_go(place) for place in range(start, start + 50)))
    await nobody_follows()
    async with asyncio.timeout(10):
        while doorbells() or len(asyncio.all_tasks()) > tasks:  # noqa: ASYNC110 - nothing has an event
            await asyncio.sleep(0.01)
    assert metrics.RPC_IN_FLIGHT._value.get() == 0


async def test_a_position_that_is_none_and_one_that_was_not_reached_are_refused(house: StreamHouse) -> None:
    run_id, worker = await house.create()
    await worker.play()
    async with house.rest(house.edge) as session:
        for headers in ({"last-event-id": "yesterday"}, {"last-event-id": "999999999.0"}):
            response = await session.get(f"/v1/runs/{run_id}/events", headers=headers)
            assert response.status == 400
            refusal = await response.json()
            assert refusal["details"][0]["reason"] == "FIELD_INVALID"
        last = (await house.whole(run_id))[-1].position
        response = await session.get(f"/v1/runs/{run_id}/events", headers={"last-event-id": last})
        assert response.status == 200
        assert b"data:" not in await response.read(), "the end is told by the end"
