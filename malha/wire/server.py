"""A gRPC server whose every method passes the same chain, declared once, in :meth:`_Chain.enter`.

Handlers are wrapped when they are registered rather than by interceptors at each call: the chain is
resolved once a method, and a call pays for what it does alone.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import grpc
import grpc.aio
import protovalidate
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from malha.api.common.v1.principal_pb2 import Principal
from malha.errors import ErrorReason, MalhaError
from malha.limits.bulkhead import Bulkhead
from malha.telemetry import Span, log, metrics, names, span
from malha.wire import codec
from malha.wire.call import Call, enter
from malha.wire.identity import Identity

Authenticate = Callable[[Mapping[str, str]], Awaitable[Principal]]
_Admit = Callable[[Mapping[str, str]], Awaitable[tuple[str, Principal]]]
Context = grpc.aio.ServicerContext[Any, Any]
Public = Literal["public"]

_UNARY_SECONDS = 30.0  # where the caller set no deadline
_STREAM_SECONDS = 7 * 24 * 3600.0
_LEAST_SECONDS = 0.002  # work that cannot finish in this is refused instead of begun
_MESSAGE_BYTES = 20 * 1024 * 1024
_OPTIONS = (
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),  # a taken port must be an error, not a shared one
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
)


@dataclass(frozen=True, slots=True)
class _Method:
    path: str
    name: str
    service: str
    public: bool


class Server:
    """One service's gRPC server: health, reflection, the chain, drain.

    Args:
        service: its name, for tokens, spans and logs.
        identity: verifies callers' tokens.
        allow: services that may call; ignored with ``authenticate``.
        authenticate: for the edge alone: metadata in, principal out.
        max_concurrent: unary calls served at once; as many again may wait, more are shed.
        max_streams: streams served at once.
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
    ) -> None:
        self.service = service
        self._grpc = grpc.aio.server(options=_OPTIONS)
        if authenticate is not None:
            admit = _at_the_edge(authenticate)
        elif identity is not None:
            admit = _by_token(identity, allow)
        else:
            raise ValueError("a server needs an identity, or a way to authenticate of its own")
        self._chain = _Chain(
            admit,
            Bulkhead(f"{service}-unary", limit=max_concurrent, queue=max_concurrent),
            Bulkhead(f"{service}-stream", limit=max_streams, queue=0),
        )
        self._health = health.aio.HealthServicer()
        self._services: list[str] = []

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
            name: self._chain.wrap(handler, _Method(f"/{service}/{name}", name, service, public))
            for name, handler in handlers.items()
        }
        self._grpc.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, wrapped),))
        self._services.append(service)

    async def start(self, listen: str) -> int:
        """Listen on ``host:port`` and serve; the bound port."""
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
        """Not ready, no new calls, let those under way finish for ``grace`` seconds, then stop."""
        await self._health.enter_graceful_shutdown()
        await self._grpc.stop(grace)


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


class _Chain:
    """telemetry -> errors -> authentication -> deadline -> validation -> concurrency -> handler."""

    def __init__(self, admit: _Admit, unary: Bulkhead, streams: Bulkhead) -> None:
        self._admit = admit
        self._unary = unary
        self._streams = streams

    def wrap(
        self, handler: grpc.RpcMethodHandler[Any, Any], method: _Method
    ) -> grpc.RpcMethodHandler[Any, Any]:
        serialization = (handler.request_deserializer, handler.response_serializer)
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                self._unary_unary(handler.unary_unary, method), *serialization
            )
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                self._streaming(handler.unary_stream, method), *serialization
            )
        if handler.stream_stream:
            return grpc.stream_stream_rpc_method_handler(
                self._streaming(handler.stream_stream, method), *serialization
            )
        raise TypeError(f"{method.path}: client streams without a response stream are not in the house")

    async def enter(self, method: _Method, request: Any, context: Context, seconds: float) -> None:
        """What must hold before a handler runs, in this order.

        Authentication comes before everything that costs; the deadline before validation, since work
        that cannot finish is not worth checking; validation last, since its answer tells of the
        contract and strangers are owed none.
        """
        metadata = {k: v for k, v in context.invocation_metadata() or () if isinstance(v, str)}
        if method.public:
            caller, principal = "", Principal()
        else:
            caller, principal = await self._admit(metadata)
        remaining = context.time_remaining()
        remaining = seconds if remaining is None else min(remaining, _STREAM_SECONDS)
        if remaining < _LEAST_SECONDS:
            raise MalhaError(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, "no time is left for the call")
        if isinstance(request, Message):
            validate(request)
        enter(Call(principal, caller, time.monotonic() + remaining, metadata))

    def _unary_unary(self, handler: Callable[..., Any], method: _Method) -> Callable[..., Any]:
        async def serve(request: Any, context: Context) -> Any:
            with _observed(method, context) as observed:
                try:
                    await self.enter(method, request, context, _UNARY_SECONDS)
                    async with self._unary:
                        return await handler(request, context)
                except Exception as error:
                    await codec.abort(context, observed.failed(error))

        return serve

    def _streaming(self, handler: Callable[..., Any], method: _Method) -> Callable[..., AsyncIterator[Any]]:
        async def serve(request: Any, context: Context) -> AsyncIterator[Any]:
            with _observed(method, context) as observed:
                try:
                    await self.enter(method, request, context, _STREAM_SECONDS)
                    async with self._streams:
                        async for response in handler(request, context):
                            yield response
                except Exception as error:
                    await codec.abort(context, observed.failed(error))

        return serve


class _observed:  # noqa: N801  # reads as the context manager it is
    """Span, latency and, for failures of ours, a log line."""

    __slots__ = ("_method", "_open", "_span", "_started", "code")

    def __init__(self, method: _Method, context: Context) -> None:
        self._method = method
        self.code = "OK"
        parent = next((v for k, v in context.invocation_metadata() or () if k == "traceparent"), None)
        self._open = span(
            method.path.lstrip("/"),
            kind="server",
            attributes={
                names.RPC_SYSTEM: "grpc",
                names.RPC_SERVICE: method.service,
                names.RPC_METHOD: method.name,
            },
            parent=parent if isinstance(parent, str) else None,
        )

    def __enter__(self) -> _observed:
        self._started = time.perf_counter()
        self._span: Span = self._open.__enter__()
        metrics.RPC_IN_FLIGHT.inc()
        return self

    def failed(self, error: Exception) -> MalhaError:
        """The error as the caller may see it."""
        if not isinstance(error, MalhaError):
            log.error("rpc_failed", method=self._method.path, exc_info=error)
            error = MalhaError(ErrorReason.ERROR_REASON_INTERNAL, "an internal error occurred")
        self.code = error.reason_name
        self._span.set(names.RPC_STATUS, error.code)
        self._span.fail(error.reason_name)
        return error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if kind is not None and self.code == "OK":
            # cancelled: the caller hung up or its deadline passed
            self.code = "CANCELLED"
            self._span.set(names.RPC_STATUS, grpc.StatusCode.CANCELLED.value[0])
            self._span.fail(self.code)
        metrics.RPC_IN_FLIGHT.dec()
        metrics.RPC_SERVED.labels(self._method.path, self.code).observe(time.perf_counter() - self._started)
        self._open.__exit__(None, None, None)


def validate(message: Message) -> None:
    """Hold a message to the rules its contract states.

    Raises:
        MalhaError: FIELD_INVALID with every field that breaks a rule.
    """
    violations = protovalidate.collect_violations(message)
    if not violations:
        return
    found = [(_path(v.proto), v.proto.message or "is not valid") for v in violations]
    raise MalhaError(
        ErrorReason.ERROR_REASON_FIELD_INVALID,
        "; ".join(f"{field}: {text}" for field, text in found[:5]),
        violations=found,
    )


def _path(violation: Any) -> str:
    elements = violation.field.elements if violation.field else ()
    return ".".join(e.field_name + (f"[{e.subscript.value}]" if e.subscript else "") for e in elements)


def _at_the_edge(authenticate: Authenticate) -> _Admit:
    async def admit(metadata: Mapping[str, str]) -> tuple[str, Principal]:
        return "", await authenticate(metadata)

    return admit


def _by_token(identity: Identity, allow: frozenset[str]) -> _Admit:
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
