"""What calls that share a stream can rely on: nothing less than calls of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
import pytest
import structlog

from malha.api.guard.v1 import guard_service_pb2 as guard
from malha.api.guard.v1 import guard_service_pb2_grpc as guard_grpc
from malha.api.wire.v1.trunk_pb2 import Call
from malha.api.wire.v1.trunk_service_pb2 import CarryRequest, CarryResponse
from malha.api.wire.v1.trunk_service_pb2_grpc import (
    TrunkServiceServicer,
    TrunkServiceStub,
    add_TrunkServiceServicer_to_server,
)
from malha.errors import ErrorReason, MalhaError
from malha.stack.free_ports import free_port
from malha.testing.cutting import CuttingProxy
from malha.testing.forgetting import forgotten
from malha.testing.obedient import ASK, DEV, ObedientGuard, ask, identities
from malha.testing.shop import until
from malha.testing.stubs import next_message
from malha.wire import Peer, Server, acting_for, trunk
from malha.wire.carrier import Carrier

Context = grpc.aio.ServicerContext[CarryRequest, CarryResponse]
WHO = identities("gateway", "guard")


@asynccontextmanager
async def serving(servicer: ObedientGuard, port: int = 0) -> AsyncIterator[tuple[Server, int]]:
    server = Server("guard", identity=WHO["guard"], allow=frozenset({"gateway"}))
    server.add(guard_grpc.add_GuardServiceServicer_to_server, servicer)
    try:
        yield server, await server.start(f"127.0.0.1:{port}", shared=True)
    finally:
        await server.drain(0)


class Arriving:
    """The context of a stream that has reached a server, by a caller who half-closes when told to leave."""

    def __init__(self) -> None:
        self.told = asyncio.Event()

    async def read(self) -> object:
        await self.told.wait()
        return grpc.aio.EOF

    async def write(self, response: CarryResponse) -> None:
        if response.draining:
            self.told.set()


@asynccontextmanager
async def calling(port: int) -> AsyncIterator[Peer]:
    peer = Peer("guard", f"127.0.0.1:{port}", identity=WHO["gateway"])
    try:
        yield peer
    finally:
        await peer.close()


async def test_each_of_many_calls_at_once_gets_its_own_answer() -> None:
    async with serving(ObedientGuard()) as (_, port), calling(port) as peer:
        answers = await asyncio.gather(*(ask(peer, f"text {number}") for number in range(200)))
    assert [answer.judgements[0].text for answer in answers] == [f"text {number}" for number in range(200)]


async def test_a_call_that_takes_long_holds_no_other_up() -> None:
    servicer = ObedientGuard()
    async with serving(servicer) as (_, port), calling(port) as peer, asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(ask(peer, "wait"))
        await servicer.entered.wait()
        await ask(peer)
        assert not slow.done()
        servicer.release.set()


async def test_a_callee_on_a_busy_machine_may_take_its_time_to_answer_a_connection() -> None:
    async with serving(ObedientGuard()) as (_, port), CuttingProxy(port) as proxy:
        proxy.silent_seconds = 0.5
        async with calling(proxy.port) as peer:
            assert (await ask(peer, "there?")).judgements[0].text == "there?"


async def test_a_call_given_up_by_its_caller_is_cancelled_at_the_callee() -> None:
    servicer = ObedientGuard()
    async with serving(servicer) as (_, port), calling(port) as peer:
        task = asyncio.create_task(ask(peer, "hang"))
        await servicer.entered.wait()
        task.cancel()
        async with asyncio.timeout(5):
            await servicer.cancelled.wait()
        await ask(peer)


async def test_a_call_given_up_while_its_callee_drains_is_cancelled_there_and_not_waited_for() -> None:
    servicer = ObedientGuard()
    async with serving(servicer) as (server, port), calling(port) as peer:
        task = asyncio.create_task(ask(peer, "hang", timeout=60))
        await servicer.entered.wait()
        draining = asyncio.create_task(server.drain(3600))
        await until(lambda: asyncio.sleep(0, not peer._trunk.streams))
        task.cancel()
        async with asyncio.timeout(5):
            await servicer.cancelled.wait()
            await draining


async def test_callers_that_are_gone_leave_nothing_running_at_the_callee() -> None:
    servicer = ObedientGuard()
    async with serving(servicer) as (_, port):
        async with calling(port) as peer:
            task = asyncio.create_task(ask(peer, "hang"))
            await servicer.entered.wait()
        async with asyncio.timeout(5):
            await servicer.cancelled.wait()
        with pytest.raises(MalhaError):
            await task


async def test_calls_of_a_callee_that_dies_are_unavailable_at_once_and_its_successor_is_found() -> None:
    servicer = ObedientGuard()
    async with serving(servicer) as (server, port), calling(port) as peer:
        waiting = asyncio.create_task(ask(peer, "hang", timeout=60))
        await servicer.entered.wait()
        await server.drain(0)
        with pytest.raises(MalhaError) as lost:
            await waiting
        assert lost.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
        async with serving(ObedientGuard(), port):
            async with asyncio.timeout(10):
                while not await answered(peer):
                    pass


@pytest.mark.parametrize("code", ["CANCELLED", "UNKNOWN", "INTERNAL", "UNAVAILABLE", "RESOURCE_EXHAUSTED"])
async def test_however_a_stream_ends_its_calls_are_unavailable(code: str) -> None:
    class CutOff(TrunkServiceServicer):
        async def Carry(  # type: ignore[override]  # grpc.aio takes a coroutine as well as a generator
            self, requests: AsyncIterator[CarryRequest], context: Context
        ) -> None:
            await anext(aiter(requests))
            await context.abort(grpc.StatusCode[code], "the connection was cut")

    server = grpc.aio.server()
    add_TrunkServiceServicer_to_server(CutOff(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with calling(port) as peer:
        with pytest.raises(MalhaError) as lost:
            await ask(peer)
    assert lost.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
    await server.stop(None)


async def answered(peer: Peer) -> bool:
    try:
        await ask(peer)
    except MalhaError as error:
        if error.reason != ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE:
            raise
        await asyncio.sleep(0.01)
        return False
    return True


async def test_why_a_callee_was_not_reached_is_said_in_the_log() -> None:
    async with calling(free_port()) as peer:
        with structlog.testing.capture_logs() as lines, pytest.raises(MalhaError):
            await ask(peer)
    (line,) = lines
    assert (line["event"], line["callee"], line["calls"]) == ("stream_lost", "guard", 1)
    assert "Connection refused" in line["said"]


async def test_a_callee_that_drains_answers_what_it_was_sent_while_its_successor_takes_the_rest() -> None:
    old, new = ObedientGuard(), ObedientGuard()
    async with serving(old) as (server, port), calling(port) as peer:
        waiting = asyncio.create_task(ask(peer, "wait"))
        await old.entered.wait()
        async with serving(new, port):
            draining = asyncio.create_task(server.drain(10))
            before = len(old.seen)
            await until(lambda: asyncio.sleep(0, not peer._trunk.streams))
            await asyncio.gather(*(ask(peer) for _ in range(20)))
            assert (len(old.seen), len(new.seen)) == (before, 20)
            assert not waiting.done()
            old.release.set()
            assert (await waiting).judgements[0].text == "wait"
            await draining


@pytest.mark.parametrize("more", [0, trunk.MOST_BYTES], ids=["by the trunk", "by themselves"])
async def test_a_roll_under_load_leaves_no_callee_alone_however_many_calls_are_sent_back(more: int) -> None:
    servicer = ObedientGuard()
    async with serving(servicer) as (server, port), calling(port) as peer:
        waiting = [asyncio.create_task(ask(peer, "hang", "x" * more, timeout=60)) for _ in range(20)]
        await until(lambda: asyncio.sleep(0, len(servicer.seen) == 20))
        async with serving(ObedientGuard(), port):
            await server.drain(2.0)  # its last words are said at once
            told = await asyncio.gather(*waiting, return_exceptions=True)
            assert [error.retry_after for error in told if isinstance(error, MalhaError)] == [0.2] * 20
            assert peer._breaker.state == "closed"
            assert (await ask(peer, "there?")).judgements[0].text == "there?"


async def test_a_callee_that_dies_while_it_leaves_is_not_blamed_either() -> None:
    class Leaving(TrunkServiceServicer):
        async def Carry(  # type: ignore[override]  # grpc.aio takes a coroutine as well as a generator
            self, requests: AsyncIterator[CarryRequest], context: Context
        ) -> None:
            await anext(aiter(requests))
            await context.write(CarryResponse(draining=True))
            await context.abort(grpc.StatusCode.UNKNOWN, "the connection was cut")

    server = grpc.aio.server()
    add_TrunkServiceServicer_to_server(Leaving(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with calling(port) as peer:
        for _ in range(10):
            with pytest.raises(MalhaError) as lost:
                await ask(peer)
            assert lost.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
        assert peer._breaker.state == "closed"
    await server.stop(None)


async def test_calls_that_are_lost_together_fail_each_by_itself() -> None:
    """An error takes on the trace of whoever is told of it: one for all would tell of another's."""
    async with serving(ObedientGuard()) as (server, port), calling(port) as peer:
        waiting = [asyncio.create_task(ask(peer, "hang", timeout=60)) for _ in range(3)]
        await until(lambda: asyncio.sleep(0, any(len(lane.calls) == 3 for lane in server._carrier._lanes)))
        await server.drain(0)
        told = await asyncio.gather(*waiting, return_exceptions=True)
    assert len({id(error) for error in told}) == 3


async def test_a_stream_that_arrives_while_the_callee_begins_to_drain_is_told_so() -> None:
    carrier = Carrier({})
    carrier.drain()
    arriving = Arriving()
    async with asyncio.timeout(5):
        await carrier.Carry(None, arriving)  # type: ignore[arg-type] # all of a context that it asks for
    assert arriving.told.is_set()


async def test_a_large_request_goes_by_itself() -> None:
    servicer = ObedientGuard()
    async with serving(servicer) as (_, port), calling(port) as peer:
        stub = guard_grpc.GuardServiceStub(peer.channel)
        large = guard.CheckRequest(stage=guard.STAGE_INPUT, texts=["x" * (trunk.MOST_BYTES + 1)])
        with acting_for(DEV, timeout=10):
            await peer.call(stub.Check, large, timeout=10)
        assert not peer._trunk.streams
    assert len(servicer.seen) == 1


async def test_a_callee_of_an_earlier_version_is_called_without_a_trunk() -> None:
    class Earlier(ObedientGuard):
        async def Check(self, request: guard.CheckRequest, _context: object) -> guard.CheckResponse:
            return guard.CheckResponse(judgements=[guard.Judgement(text=request.texts[0])])

    server = grpc.aio.server()
    guard_grpc.add_GuardServiceServicer_to_server(Earlier(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with calling(port) as peer:
        answers = await asyncio.gather(*(ask(peer, str(number)) for number in range(10)))
        assert [answer.judgements[0].text for answer in answers] == [str(number) for number in range(10)]
    await server.stop(0)


@pytest.mark.parametrize("token", ["", "forged"])
async def test_whoever_opens_a_stream_is_still_asked_for_a_token_at_each_call(token: str) -> None:
    servicer = ObedientGuard()
    async with serving(servicer) as (_, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = Call(
            id=7,
            method="/malha.api.guard.v1.GuardService/Check",
            request=ASK.SerializeToString(),
            timeout_ms=5000,
            token=token,
        )
        stream = TrunkServiceStub(channel).Carry()
        await stream.write(CarryRequest(calls=[call]))
        response = await next_message(stream)
        assert response.answers[0].id == 7
        assert response.answers[0].WhichOneof("outcome") == "status"
    assert servicer.seen == []


async def test_streams_are_renewed_so_that_calls_find_new_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trunk, "_LIFETIME", -1.0)
    async with serving(ObedientGuard()) as (server, port), calling(port) as peer:
        for _ in range(20):
            await ask(peer)
        await until(lambda: asyncio.sleep(0, len(server._carrier._lanes) <= 2))


async def test_a_stream_keeps_nothing_of_the_call_that_opened_it() -> None:
    """A call has its caller's credential, and a stream lasts as long as nobody calls."""
    async with serving(ObedientGuard()) as (_, port), calling(port) as peer:
        await forgotten(lambda: ask(peer))
        assert peer._trunk.streams


async def test_nothing_is_left_behind_by_calls_however_they_end() -> None:
    servicer = ObedientGuard()
    async with serving(servicer) as (server, port), calling(port) as peer:
        texts = ["hello", "refuse", "explode", "hang"] * 50
        await asyncio.gather(
            *(ask(peer, text, timeout=0.5 if text == "hang" else 5.0) for text in texts),
            return_exceptions=True,
        )
        line = peer._trunk._line()
        (lane,) = server._carrier._lanes
        await until(lambda: asyncio.sleep(0, not (line._waiting or line._due or lane.calls or lane._answers)))
