"""Readers of runs' streams, over server-sent events and gRPC, and the runs they read."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import grpc
import grpc.aio
from aiohttp import AddrInfoType

from malha.api.gateway.v1 import run_pb2, run_service_pb2
from malha.api.gateway.v1.run_service_pb2_grpc import RunServiceStub
from malha.run import Journal, Sealer
from malha.telemetry import metrics
from malha.testing import sse
from malha.testing.worker import PlayedRun, Telling


class StreamHouse:
    """Gateways on one NATS behind an edge, by their ports, and how to read from any of these doors."""

    def __init__(
        self,
        api_key: str,
        gateways: list[int],
        edge: int,
        worker: tuple[Journal, Sealer],
        deltas: Telling,
    ) -> None:
        self.deltas = deltas
        self.api_key = api_key
        self.bearer = (("authorization", f"Bearer {api_key}"),)
        self.gateways = gateways
        self.edge = edge
        self._worker = worker
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{gateways[0]}")
        self.runs = RunServiceStub(self._channel)

    async def close(self) -> None:
        await self._channel.close()

    async def create(self) -> tuple[str, PlayedRun]:
        request = run_service_pb2.CreateRunRequest(input="What is 17 * 23?")
        run = (await self.runs.CreateRun(request, metadata=self.bearer, timeout=10)).run
        return run.run_id, PlayedRun(*self._worker, "dev", run.run_id)

    async def whole(self, run_id: str, *, gateway: int = 0, deltas: bool = False) -> list[run_pb2.RunEvent]:
        """The run's events, uncut, from one gateway."""
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.gateways[gateway]}") as channel:
            request = run_service_pb2.StreamRunRequest(run_id=run_id, deltas=deltas)
            call = RunServiceStub(channel).StreamRun(request, metadata=self.bearer)
            return [answer.event async for answer in call]

    def rest(self, port: int, *, room: int = 0) -> aiohttp.ClientSession:
        """A session of its own connections, with the key.

        Args:
            room: bytes that the system takes in for a connection that nobody reads; 0 leaves it the choice.
        """

        def made(address: AddrInfoType) -> socket.socket:
            connection = socket.socket(*address[:3])
            if room:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
            return connection

        return aiohttp.ClientSession(
            f"http://127.0.0.1:{port}",
            headers=dict(self.bearer),
            connector=aiohttp.TCPConnector(force_close=True, limit=0, socket_factory=made),
        )

    async def over_sse(self, port: int, run_id: str, *, deltas: bool = False) -> list[sse.ServerSentEvent]:
        """The run's events, coming back with the last id as often as it takes."""
        seen: list[sse.ServerSentEvent] = []
        async with self.rest(port) as session:
            while not seen or seen[-1].kind != "finished":
                try:
                    after = seen[-1].id if seen else ""
                    async for event in sse.events(session, run_id, after=after, deltas=deltas):
                        seen.append(event)  # noqa: PERF401 - kept one by one: the next may not come
                except (aiohttp.ClientError, OSError):
                    continue
        return seen

    async def over_grpc(self, port: int, run_id: str, *, deltas: bool = False) -> list[run_pb2.RunEvent]:
        """The same, over gRPC."""
        seen: list[run_pb2.RunEvent] = []
        while not seen or seen[-1].WhichOneof("event") != "finished":
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                after = seen[-1].position if seen else ""
                request = run_service_pb2.StreamRunRequest(run_id=run_id, after=after, deltas=deltas)
                try:
                    async for answer in RunServiceStub(channel).StreamRun(request, metadata=self.bearer):
                        seen.append(answer.event)  # noqa: PERF401 - as above
                except grpc.aio.AioRpcError as error:
                    if error.code() != grpc.StatusCode.UNAVAILABLE:
                        raise
        return seen


def followed() -> float:
    """Runs whose journal the gateways of this process read for a stream."""
    return float(metrics.GATEWAY_RUNS_FOLLOWED._value.get())


async def nobody_follows() -> None:
    """Return once no run is followed any more; 10 s at most."""
    async with asyncio.timeout(10):
        while followed():  # noqa: ASYNC110 - a metric has no event
            await asyncio.sleep(0.01)
