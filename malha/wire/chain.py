"""What every call passes before and after its handler, declared once, in :meth:`Chain.enter`.

Handlers are wrapped when they are registered rather than by interceptors at each call: the chain is
resolved once a method, and a call pays for what it does alone.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import protovalidate
from google.protobuf.message import DecodeError, Message

from malha.api.common.v1.principal_pb2 import Principal
from malha.errors import ErrorReason, MalhaError
from malha.limits.bulkhead import Bulkhead
from malha.telemetry import Span, log, metrics, names, span, trace_id
from malha.wire import codec
from malha.wire.call import Call, enter
from malha.wire.under_way import UnderWay

Admit = Callable[[Mapping[str, str]], Awaitable[tuple[str, Principal]]]
"""Metadata in; the calling service (empty at the edge) and the principal out."""
Context = grpc.aio.ServicerContext[Any, Any]

_UNARY_SECONDS = 30.0  # where the caller set no deadline
_STREAM_SECONDS = 7 * 24 * 3600.0
_SMALL = 4096  # bytes; a message of a million empty parts would take minutes to be told of each
_TOLD = 20  # violations: gRPC takes no more than 8 KiB of trailers, and else tells of the size instead
_UNREADABLE = "the request is no message of this call, or a text in it is not UTF-8"
_LEAST_SECONDS = 0.002  # work that cannot finish in this is refused instead of begun


@dataclass(frozen=True, slots=True)
class Method:
    path: str
    name: str
    service: str
    public: bool


class Chain:
    """telemetry -> errors -> authentication -> deadline -> validation -> concurrency -> handler."""

    def __init__(self, admit: Admit, unary: Bulkhead, streams: Bulkhead, under_way: UnderWay) -> None:
        self._admit = admit
        self._unary = unary
        self._streams = streams
        self._under_way = under_way

    def wrap(
        self, handler: grpc.RpcMethodHandler[Any, Any], method: Method
    ) -> grpc.RpcMethodHandler[Any, Any]:
        reader, writer = handler.request_deserializer, handler.response_serializer
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                self._unary_unary(handler.unary_unary, method), _forgiving(reader), writer
            )
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                self._streaming(handler.unary_stream, method, follows=True), _forgiving(reader), writer
            )
        if handler.stream_stream:
            return grpc.stream_stream_rpc_method_handler(
                self._streaming(handler.stream_stream, method, follows=False), reader, writer
            )
        raise TypeError(f"{method.path}: client streams without a response stream are not in the house")

    def carried(self, handler: grpc.RpcMethodHandler[Any, Any], method: Method) -> Carried:
        """A unary handler for callers that come by a trunk."""
        return Carried(self, handler, method)

    async def answer(
        self,
        handler: Callable[..., Any],
        request: Any,
        context: Context | None,
        method: Method,
        metadata: Mapping[str, str],
        remaining: float | None,
    ) -> Any:
        """Let a request pass to its handler. Raises MalhaError alone, as the caller may see it."""
        with _observed(method, metadata) as observed:
            try:
                await self.enter(method, request, metadata, remaining, _UNARY_SECONDS)
                async with self._unary:
                    with self._under_way.call(follows=False):
                        return await handler(request, context)
            except Exception as error:
                raise observed.failed(error) from error

    async def enter(
        self,
        method: Method,
        request: Any,
        metadata: Mapping[str, str],
        remaining: float | None,
        seconds: float,
    ) -> None:
        """What must hold before a handler runs, in this order.

        Authentication comes before everything that costs; the deadline before validation, since work
        that cannot finish is not worth checking; validation last, since its answer tells of the
        contract and strangers are owed none.
        """
        if method.public:
            caller, principal = "", Principal()
        else:
            caller, principal = await self._admit(metadata)
        remaining = seconds if remaining is None else min(remaining, _STREAM_SECONDS)
        if remaining < _LEAST_SECONDS:
            raise MalhaError(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, "no time is left for the call")
        if isinstance(request, DecodeError):
            raise MalhaError(ErrorReason.ERROR_REASON_FIELD_INVALID, _UNREADABLE) from request
        if isinstance(request, Message):
            validate(request)
        enter(Call(principal, caller, time.monotonic() + remaining, metadata))

    def _unary_unary(self, handler: Callable[..., Any], method: Method) -> Callable[..., Any]:
        async def serve(request: Any, context: Context) -> Any:
            metadata, remaining = _text(context), context.time_remaining()
            try:
                return await self.answer(handler, request, context, method, metadata, remaining)
            except MalhaError as error:
                await codec.abort(context, error)

        return serve

    def _streaming(
        self, handler: Callable[..., Any], method: Method, *, follows: bool
    ) -> Callable[..., Awaitable[None]]:
        # Written here rather than yielded to gRPC: so a caller who hangs up in the middle of a write is met
        # inside the handler's own scopes, and what it holds is given back at once.
        async def serve(request: Any, context: Context) -> None:
            metadata, opened = _text(context), False
            with _observed(method, metadata) as observed:
                try:
                    await self.enter(method, request, metadata, context.time_remaining(), _STREAM_SECONDS)
                    async with self._streams:
                        with self._under_way.call(follows=follows) as call:
                            async with aclosing(handler(request, context)) as responses:
                                async for response in responses:
                                    opened = True
                                    call.out()
                                    await context.write(response)
                                    call.back()
                except grpc.aio.InternalError:
                    observed.code = "CANCELLED"  # the connection went during a write: nobody is left to tell
                except Exception as error:
                    await codec.abort(context, observed.failed(error), opened=opened)

        return serve


class Carried:
    """A unary method for callers that come by a trunk: bytes in, bytes out, the same chain between.

    Its handler has no context of gRPC's; what it may ask is in :func:`malha.wire.call.current`.
    """

    __slots__ = ("_chain", "_deserialize", "_handler", "_method", "_serialize")

    def __init__(self, chain: Chain, handler: grpc.RpcMethodHandler[Any, Any], method: Method) -> None:
        assert handler.unary_unary is not None
        assert handler.response_serializer is not None
        self._chain = chain
        self._method = method
        self._handler: Callable[..., Any] = handler.unary_unary
        self._deserialize = _forgiving(handler.request_deserializer)
        self._serialize: Callable[[Any], bytes] = handler.response_serializer

    async def answer(self, request: bytes, metadata: Mapping[str, str], remaining: float) -> bytes:
        """The response, serialised. Raises MalhaError as the caller may see it."""
        asked = self._deserialize(request)
        return self._serialize(
            await self._chain.answer(self._handler, asked, None, self._method, metadata, remaining)
        )


class _observed:  # noqa: N801  # reads as the context manager it is
    """Span, latency and, for failures of ours, a log line."""

    __slots__ = ("_method", "_open", "_span", "_started", "code")

    def __init__(self, method: Method, metadata: Mapping[str, str]) -> None:
        self._method = method
        self.code = "OK"
        self._open = span(
            method.path.lstrip("/"),
            kind="server",
            attributes={
                names.RPC_SYSTEM: "grpc",
                names.RPC_SERVICE: method.service,
                names.RPC_METHOD: method.name,
            },
            parent=metadata.get("traceparent"),
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
        # its own first: calls that share a transaction share its failure, and a trace tells of one of them
        error.trace_id = trace_id() or error.trace_id
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


def _forgiving(reader: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """A reader that answers its error, for the chain to raise: gRPC would tell callers of our insides."""
    assert reader is not None

    def read(request: bytes) -> Any:
        try:
            return reader(request)
        except DecodeError as error:
            return error

    return read


def _text(context: Context) -> dict[str, str]:
    """The call's metadata, without what is binary."""
    return {k: v for k, v in context.invocation_metadata() or () if isinstance(v, str)}


def validate(message: Message) -> None:
    """Hold a message to the rules its contract states.

    Raises:
        MalhaError: FIELD_INVALID with the fields that break a rule, of many or of a large message the first.
    """
    violations = protovalidate.collect_violations(message, fail_fast=True)
    if not violations:
        return
    if message.ByteSize() <= _SMALL:
        violations = protovalidate.collect_violations(message)
    found = [(_path(v.proto), v.proto.message or "is not valid") for v in violations[:_TOLD]]
    raise MalhaError(
        ErrorReason.ERROR_REASON_FIELD_INVALID,
        "; ".join(f"{field}: {text}" for field, text in found[:5]),
        violations=found,
    )


def _path(violation: Any) -> str:
    elements = violation.field.elements if violation.field else ()
    return ".".join(e.field_name + (f"[{e.subscript.value}]" if e.subscript else "") for e in elements)
