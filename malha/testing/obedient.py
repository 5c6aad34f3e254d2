"""A callee that does what it is told, and a way to tell it: for what calls inside the mesh promise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.guard.v1 import guard_service_pb2 as guard
from malha.api.guard.v1 import guard_service_pb2_grpc as guard_grpc
from malha.errors import ErrorReason, MalhaError, unavailable
from malha.wire import Identity, Peer, acting_for, current

DEV = Principal(tenant="dev", subject="ana", key_id="k1", scopes=["runs"])
ASK = guard.CheckRequest(stage=guard.STAGE_INPUT, texts=["hello"])


def identities(*services: str) -> dict[str, Identity]:
    """Services that know one another."""
    keys = {service: Ed25519PrivateKey.generate() for service in services}
    public = {service: key.public_key() for service, key in keys.items()}
    return {service: Identity(service, key, public) for service, key in keys.items()}


class ObedientGuard(guard_grpc.GuardServiceServicer):
    """Does what the text says."""

    FilterStream = guard_grpc.GuardServiceServicer.FilterStream  # refused as UNIMPLEMENTED

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, float]] = []
        self.cancelled = asyncio.Event()
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self._failure = unavailable("the database")

    async def Check(self, request: guard.CheckRequest, _context: object) -> guard.CheckResponse:
        call = current()
        self.seen.append((call.principal.tenant, call.caller, call.remaining()))
        match request.texts[0]:
            case "explode":
                raise RuntimeError("secret path /etc/shadow")
            case "refuse":
                raise MalhaError(
                    ErrorReason.ERROR_REASON_RATE_LIMITED,
                    "too fast",
                    metadata={"limit": "10"},
                    retry_after=2.5,
                    quota=("key:k1", "10 a minute"),
                )
            case "fail together":
                raise self._failure
            case "wait":
                self.entered.set()
                await self.release.wait()
            case "hang":
                self.entered.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    self.cancelled.set()
                    raise
        return guard.CheckResponse(judgements=[guard.Judgement(text=request.texts[0])])


@asynccontextmanager
async def cutting_off(service: str, method: str) -> AsyncIterator[int]:
    """A server whose answers are cut off, as gRPC does where a call's time is up just then; its port."""

    async def cut_off(_request: bytes, _context: object) -> AsyncIterator[bytes]:
        return
        yield

    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_stream_rpc_method_handler(cut_off)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


async def ask(
    peer: Peer, text: str = "hello", *further: str, timeout: float = 5.0, left: float = 10
) -> guard.CheckResponse:
    """Have the guard do what the text says, whatever else it is sent, in a call with so many seconds left."""
    stub = guard_grpc.GuardServiceStub(peer.channel)
    with acting_for(DEV, timeout=left):
        return await peer.call(
            stub.Check, guard.CheckRequest(stage=guard.STAGE_INPUT, texts=[text, *further]), timeout=timeout
        )
