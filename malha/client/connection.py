"""The way to a mesh: one channel, one key, and errors with the reason the mesh gave."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from typing import Any, TypeVar

import grpc
import grpc.aio
from opentelemetry.instrumentation.grpc import aio_client_interceptors

from malha.client.target import is_local, target_in
from malha.errors import ErrorReason, MalhaError, unavailable
from malha.wire import codec

Q = TypeVar("Q")
R = TypeVar("R")

_MESSAGE_BYTES = 20 * 1024 * 1024
_INSIST_SECONDS = 15.0
"""For so long a question is put again: what dies or is replaced is back by then."""


class Connection:
    """A channel to the edge, for one key.

    Args:
        target: ``host:port`` of the edge; empty for that of the environment, else the local mesh.
        api_key: empty for that of the environment.
        timeout: seconds a unary call may take.

    Raises:
        MalhaError: CREDENTIAL_INVALID for a key that no header can hold; gRPC would never end a call with it.
            FIELD_INVALID where ``MALHA_URL`` asks for https.
    """

    def __init__(self, target: str, api_key: str, timeout: float) -> None:
        target = target or target_in(os.environ)
        key = (api_key or os.environ.get("MALHA_API_KEY", "")).strip()  # files end with a line break
        if not (key.isascii() and key.isprintable()):
            raise MalhaError(
                ErrorReason.ERROR_REASON_CREDENTIAL_INVALID, "the API key holds a character that no key has"
            )
        self._timeout = timeout
        self._metadata = (("authorization", f"Bearer {key}"),)
        self._streams: set[grpc.aio.UnaryStreamCall[Any, Any]] = set()
        self.channel = grpc.aio.insecure_channel(
            target,
            options=(
                ("grpc.max_receive_message_length", _MESSAGE_BYTES),  # what is sent, the mesh measures
                ("grpc.keepalive_time_ms", 30000),
                # a mesh that was away is found again as soon as it is back: gRPC would wait for two minutes,
                # and a new client for as long as the one before it
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 2000),
                ("grpc.use_local_subchannel_pool", 1),
                # a proxy of the environment reaches the world, not this machine
                ("grpc.enable_http_proxy", int(not is_local(target))),
            ),
            # continues the caller's trace, where it has one
            interceptors=aio_client_interceptors(),  # type: ignore[no-untyped-call]  # it ships no types
        )

    async def close(self) -> None:
        """End what is under way and close the channel; gRPC forgets streams, whose readers would wait on."""
        for stream in self._streams:
            stream.cancel()
        await self.channel.close()

    async def call(self, method: grpc.aio.UnaryUnaryMultiCallable[Q, R], request: Q) -> R:
        """The answer to a request that is put once."""
        try:
            answer = await method(request, timeout=self._timeout, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise codec.from_rpc(error, "malha") from None
        if answer is None:  # as in malha.wire.peer
            raise unavailable("malha")
        return answer

    async def insist(self, method: grpc.aio.UnaryUnaryMultiCallable[Q, R], request: Q) -> R:
        """The answer to a question with a key; it is put again while the mesh says that this may help."""
        until: float | None = None
        while True:
            try:
                return await self.call(method, request)
            except MalhaError as error:
                pause, now = error.retry_after, time.monotonic()
                until = until or now + _INSIST_SECONDS
                away = error.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
                if not away or pause is None or now + pause > until:
                    raise
            await asyncio.sleep(pause)

    async def stream(
        self, method: grpc.aio.UnaryStreamMultiCallable[Q, R], request: Q
    ) -> AsyncGenerator[R, None]:
        """Responses as they come. One that breaks off without a reason is DEPENDENCY_UNAVAILABLE: the edge
        resets it when its gateway dies, and gRPC calls that INTERNAL. Closing it ends the call."""
        stream = method(request, metadata=self._metadata)
        self._streams.add(stream)
        try:
            async for response in stream:
                yield response
        except grpc.aio.AioRpcError as error:
            explained = codec.is_explained(error)
            raise (codec.from_rpc(error, "malha") if explained else unavailable("malha")) from None
        finally:
            self._streams.discard(stream)
            stream.cancel()  # where whoever reads it leaves early; else it is over
