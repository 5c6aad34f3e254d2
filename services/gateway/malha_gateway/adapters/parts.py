"""What readiness asks: services by gRPC's health protocol, NATS and Valkey by their connections."""

from __future__ import annotations

import grpc.aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from nats.errors import Error as NatsError

from malha.limits.valkey import Valkey
from malha.run.nats_journal import Connection
from malha.wire import Peer

_SECONDS = 0.8


class ServicePart:
    """A service of the mesh."""

    def __init__(self, peer: Peer) -> None:
        self.name = peer.callee
        self._check = HealthStub(peer.channel).Check  # type: ignore[attr-defined] # left out of the stubs

    async def answers(self) -> bool:
        try:
            response = await self._check(HealthCheckRequest(), timeout=_SECONDS)
        except grpc.aio.AioRpcError:
            return False
        # None: as in malha.wire.peer
        return response is not None and bool(response.status == HealthCheckResponse.SERVING)

    def known_away(self) -> bool:
        return False  # the peer's own breaker refuses by itself


class NatsPart:
    """The journal's broker."""

    name = "nats"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def answers(self) -> bool:
        if not self._connection.connected:
            return False  # a flush meanwhile would wait, or be told of an older connection
        try:
            await self._connection.nc.flush(timeout=1)
        except (NatsError, OSError, TimeoutError):
            return False
        return True

    def known_away(self) -> bool:
        return not self._connection.connected


class ValkeyPart:
    """The store of caches and limits."""

    name = "valkey"

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey

    async def answers(self) -> bool:
        return await self._valkey.ping()

    def known_away(self) -> bool:
        return self._valkey.away
