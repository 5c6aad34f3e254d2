"""Several processes of a service, one of which leaves: no caller is told more than to ask again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import grpc.aio
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.gateway.v1 import run_pb2
from malha.api.gateway.v1 import run_service_pb2 as runs
from malha.api.gateway.v1 import run_service_pb2_grpc as runs_grpc
from malha.errors import ErrorReason, MalhaError
from malha.testing.stubs import in_part, next_message
from malha.wire import Identity, Peer, Server, acting_for, codec

DEV = Principal(tenant="dev", subject="ana", key_id="k1", scopes=["runs"])
RUN = "a" * 52
GRACE = 2.3  # the last words are said two seconds before


class Replica(runs_grpc.RunServiceServicer):
    """Counts its calls; waits where it is told to."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.port = 0
        self.calls = 0
        self.entered = asyncio.Event()
        self.go_on = asyncio.Event()

    async def GetRun(self, request: runs.GetRunRequest, context: object) -> runs.GetRunResponse:
        self.calls += 1
        return runs.GetRunResponse(run=run_pb2.Run(run_id=RUN))

    async def CancelRun(self, request: runs.CancelRunRequest, context: object) -> runs.CancelRunResponse:
        self.entered.set()
        await self.go_on.wait()
        return runs.CancelRunResponse(run=run_pb2.Run(run_id=RUN))

    async def StreamRun(
        self, request: runs.StreamRunRequest, context: object
    ) -> AsyncIterator[runs.StreamRunResponse]:
        yield runs.StreamRunResponse(event=run_pb2.RunEvent(position="1.0"))
        await asyncio.Event().wait()


class House:
    """Replicas of a gateway, and a peer that knows them all."""

    def __init__(self, stack: AsyncExitStack) -> None:
        keys = {name: Ed25519PrivateKey.generate() for name in ("planner", "gateway")}
        public = {name: key.public_key() for name, key in keys.items()}
        self._who = {name: Identity(name, key, public) for name, key in keys.items()}
        self._stack = stack
        self.replicas: list[Replica] = []

    async def start(self, listen: str = "127.0.0.1:0", *, shared: bool = False) -> Replica:
        server = Server("gateway", identity=self._who["gateway"], allow=frozenset({"planner"}))
        replica = in_part(Replica, server)
        server.add(runs_grpc.add_RunServiceServicer_to_server, replica)
        replica.port = await server.start(listen, shared=shared)
        self.replicas.append(replica)
        self._stack.push_async_callback(server.drain, 0)
        return replica

    def peer(self, *replicas: Replica) -> Peer:
        target = ",".join(f"127.0.0.1:{replica.port}" for replica in replicas)
        peer = Peer("gateway", target, identity=self._who["planner"])
        self._stack.push_async_callback(peer.close)
        return peer


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        yield House(stack)


async def get(peer: Peer) -> None:
    stub = runs_grpc.RunServiceStub(peer.channel)
    with acting_for(DEV, timeout=10):
        await peer.call(stub.GetRun, runs.GetRunRequest(run_id=RUN), timeout=5, idempotent=True)


async def cancel(peer: Peer) -> runs.CancelRunResponse:
    stub = runs_grpc.RunServiceStub(peer.channel)
    with acting_for(DEV, timeout=30):
        return await peer.call(stub.CancelRun, runs.CancelRunRequest(run_id=RUN), timeout=20)


async def until(condition: Callable[[], bool], act: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await act()  # type: ignore[misc]


async def test_calls_go_round_the_replicas(house: House) -> None:
    one, two = await house.start(), await house.start()
    peer = house.peer(one, two)
    await until(lambda: one.calls > 0 and two.calls > 0, lambda: get(peer))
    one.calls = two.calls = 0
    for _ in range(10):
        await get(peer)
    assert (one.calls, two.calls) == (5, 5)


async def test_a_replica_that_leaves_under_load_costs_its_callers_nothing(house: House) -> None:
    one, two = await house.start(), await house.start()
    peer = house.peer(one, two)
    await until(lambda: one.calls > 0 and two.calls > 0, lambda: get(peer))
    left = False

    async def call_on() -> None:
        while not left or two.calls < after:
            await get(peer)  # raises where it is not cured

    async with asyncio.TaskGroup() as callers:
        after = two.calls + 1000
        for _ in range(16):
            callers.create_task(call_on())
        await one.server.drain(5)
        left = True


async def test_a_successor_on_the_same_port_takes_over_without_a_gap(house: House) -> None:
    old = await house.start(shared=True)
    peer = house.peer(old)
    await get(peer)  # connected, and to this one
    new = await house.start(f"127.0.0.1:{old.port}", shared=True)

    async def call_on() -> None:
        while new.calls < 500:
            await get(peer)  # raises where it is not cured

    async with asyncio.TaskGroup() as callers:
        for _ in range(16):
            callers.create_task(call_on())
        await until(lambda: old.calls > 50, lambda: asyncio.sleep(0))
        await old.server.drain(5)


async def test_a_taken_port_is_an_error_where_it_is_not_to_be_shared(house: House) -> None:
    old = await house.start(shared=True)
    with pytest.raises(OSError, match="in use"):
        await house.start(f"127.0.0.1:{old.port}")


async def test_a_call_under_way_is_answered_while_the_server_leaves(house: House) -> None:
    one = await house.start()
    calling = asyncio.create_task(cancel(house.peer(one)))
    await one.entered.wait()
    leaving = asyncio.create_task(one.server.drain(20))
    await asyncio.sleep(0)
    one.go_on.set()
    assert (await calling).run.run_id == RUN
    await leaving


async def test_who_is_not_answered_in_time_is_told_to_ask_again_and_when(house: House) -> None:
    one = await house.start()
    calling = asyncio.create_task(cancel(house.peer(one)))
    await one.entered.wait()
    await one.server.drain(GRACE)
    with pytest.raises(MalhaError) as told:
        await calling
    assert told.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
    assert told.value.retry_after is not None


async def test_who_follows_a_stream_is_told_at_once_and_the_server_does_not_wait_for_it(house: House) -> None:
    one = await house.start()
    peer = house.peer(one)
    stub = runs_grpc.RunServiceStub(peer.channel)
    metadata = (("malha-token", house._who["planner"].mint("gateway", DEV)),)
    stream = stub.StreamRun(runs.StreamRunRequest(run_id=RUN), metadata=metadata)
    assert (await next_message(stream)).event.position == "1.0"
    async with asyncio.timeout(10):
        await one.server.drain(3600)
    with pytest.raises(grpc.aio.AioRpcError) as told:
        await stream.read()
    assert codec.from_rpc(told.value, "gateway").retry_after is not None
