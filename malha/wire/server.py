"""A gRPC server: health, reflection, the chain around every method, drain."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.wire.v1.trunk_service_pb2_grpc import add_TrunkServiceServicer_to_server
from malha.errors import ErrorReason, MalhaError
from malha.limits.bulkhead import Bulkhead
from malha.wire.carrier import Carrier
from malha.wire.chain import Admit, Carried, Chain, Method
from malha.wire.identity import Identity
from malha.wire.under_way import UnderWay

Authenticate = Callable[[Mapping[str, str]], Awaitable[Principal]]
Public = Literal["public"]

_MESSAGE_BYTES = 20 * 1024 * 1024
_LAST_WORDS_SECONDS = 2.0
_OPTIONS = (
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ("grpc.so_reuseport", 1),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
    ("grpc.http2.max_ping_strikes", 0),  # a starved machine sends its pings late, and then all at once
    ("grpc.http2.max_pings_without_data", 0),  # a quiet stream is asked after for as long as it lasts
)
_ASK_SECONDS = 20.0


class Server:
    """One service's gRPC server: health, reflection, the chain, drain.

    Args:
        service: its name, for tokens, spans and logs.
        identity: verifies callers' tokens.
        allow: services that may call; ignored with ``authenticate``.
        authenticate: for the edge alone: metadata in, principal out.
        max_concurrent: unary calls served at once; as many again may wait, more are shed.
        max_streams: streams served at once.
        ask_seconds: how often a silent caller is asked whether it is there; one that does not answer for as
            long again is gone, and what is done for it is cancelled.
    """

    def __init__(
        self,
        service: str,
        *,
        identity: Identity | None = None,
        allow: frozenset[str] = frozenset(),
        authenticate: Authenticate | None = None,
        max_concurrent: int = 256,
        max_streams: int = 4096,
        ask_seconds: float = _ASK_SECONDS,
    ) -> None:
        self.service = service
        # without the third, gRPC waits a minute for the answer whatever the second says
        asking = ("grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms")
        self._grpc = grpc.aio.server(
            options=(*_OPTIONS, *((name, int(ask_seconds * 1000)) for name in asking))
        )
        if authenticate is not None:
            admit = _at_the_edge(authenticate)
        elif identity is not None:
            admit = _by_token(identity, allow)
        else:
            raise ValueError("a server needs an identity, or a way to authenticate of its own")
        self._under_way = UnderWay(service)
        self._chain = Chain(
            admit,
            Bulkhead(f"{service}-unary", limit=max_concurrent, queue=max_concurrent),
            Bulkhead(f"{service}-stream", limit=max_streams, queue=0),
            self._under_way,
        )
        self._health = health.aio.HealthServicer()
        self._services: list[str] = []
        self._carried: dict[str, Carried] = {}
        self._carrier = Carrier(self._carried)
        if authenticate is None:  # nothing of the mesh calls the edge
            add_TrunkServiceServicer_to_server(self._carrier, self._grpc)

    def add(
        self, register: Callable[[Any, Any], None], servicer: object, *, allow: Public | None = None
    ) -> None:
        """Serve ``servicer``; ``register`` is its generated ``add_...Servicer_to_server``.

        ``allow="public"`` serves it to callers without a credential.
        """
        register(servicer, _Registrar(self, public=allow == "public"))

    def _mount(
        self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]], *, public: bool
    ) -> None:
        wrapped = {
            name: self._chain.wrap(handler, Method(f"/{service}/{name}", name, service, public))
            for name, handler in handlers.items()
        }
        self._grpc.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, wrapped),))
        self._services.append(service)
        for name, handler in handlers.items():
            if handler.unary_unary:
                method = Method(f"/{service}/{name}", name, service, public)
                self._carried[method.path] = self._chain.carried(handler, method)

    async def start(self, listen: str, *, shared: bool = False) -> int:
        """Listen on ``host:port`` and serve; the bound port.

        Args:
            shared: whether another process may listen there too, so that one can take the other's place;
                else a taken port is an OSError.
        """
        if not shared:
            _refuse_taken(listen)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        reflection.enable_server_reflection(
            (*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME), self._grpc
        )
        port = self._grpc.add_insecure_port(listen)
        await self._grpc.start()
        await self.ready(True)
        return port

    async def ready(self, is_ready: bool) -> None:
        """Say in the health service whether calls are welcome."""
        status = health_pb2.HealthCheckResponse
        await self._health.set("", status.SERVING if is_ready else status.NOT_SERVING)

    async def drain(self, grace: float) -> None:
        """Not ready, no new calls, let those under way finish for ``grace`` seconds, then stop.

        Who only follows something is told at once to follow it elsewhere, and whoever is not answered in
        time is told so before the connection goes: a retry cures both.
        """
        await self._health.enter_graceful_shutdown()
        stopping = asyncio.create_task(self._grpc.stop(grace))
        await asyncio.sleep(0)  # from here on new streams go to others
        self._carrier.drain()
        self._under_way.send_away(followers_alone=True)
        await asyncio.wait((stopping,), timeout=max(0.0, grace - _LAST_WORDS_SECONDS))
        self._under_way.send_away(followers_alone=False)
        await stopping


class _Registrar:
    """What generated code takes for a server: receives the handlers so that they can be wrapped."""

    def __init__(self, server: Server, *, public: bool) -> None:
        self._server = server
        self._public = public

    def add_generic_rpc_handlers(self, _: object) -> None:
        """Generated code registers twice; the other form names the methods."""

    def add_registered_method_handlers(
        self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> None:
        self._server._mount(service, handlers, public=self._public)


def _refuse_taken(listen: str) -> None:
    """Raise OSError where somebody listens: gRPC would share the port without a word."""
    host, _, port = listen.rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, int(port)))


def _at_the_edge(authenticate: Authenticate) -> Admit:
    async def admit(metadata: Mapping[str, str]) -> tuple[str, Principal]:
        return "", await authenticate(metadata)

    return admit


def _by_token(identity: Identity, allow: frozenset[str]) -> Admit:
    async def admit(metadata: Mapping[str, str]) -> tuple[str, Principal]:
        token = metadata.get("malha-token")
        if not token:
            raise MalhaError(
                ErrorReason.ERROR_REASON_CREDENTIAL_MISSING, "only services of the mesh may call this"
            )
        caller, principal = identity.verify(token)
        if caller not in allow:
            raise MalhaError(
                ErrorReason.ERROR_REASON_CALLER_NOT_ALLOWED, f"{caller} may not call {identity.service}"
            )
        return caller, principal

    return admit
