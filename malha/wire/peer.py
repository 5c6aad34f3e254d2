"""One callee as seen from a caller: token, trace, deadline, breaker, retries."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeAlias, TypeVar, cast

import grpc
import grpc.aio

from malha.errors import ErrorReason, MalhaError, unavailable
from malha.limits.breaker import Breaker, blames_callee
from malha.limits.retry import RetryBudget
from malha.telemetry import metrics, traceparent
from malha.wire import codec
from malha.wire.call import Call, current
from malha.wire.identity import Identity
from malha.wire.lost import NothingNewError, without_blame
from malha.wire.trunk import MOST_BYTES, NoTrunkError, Path, Paths, Trunk

Q = TypeVar("Q")
R = TypeVar("R")
Unary: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[Q, R]"
Streaming: TypeAlias = "grpc.aio.StreamStreamMultiCallable[Q, R]"

_MESSAGE_BYTES = 20 * 1024 * 1024
_OPTIONS = (
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ("grpc.enable_http_proxy", 0),  # what passes between services is for no third party
    ("grpc.enable_retries", 0),  # retries are ours: they know what is idempotent and keep a budget
    ("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'),
    ("grpc.keepalive_time_ms", 10000),
    ("grpc.keepalive_timeout_ms", 10000),
    ("grpc.http2.ping_timeout_ms", 10000),  # else gRPC waits a minute, whatever the line above says
    ("grpc.min_reconnect_backoff_ms", 3000),  # in truth how long one attempt may take, on a busy machine too
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
_PEERS = itertools.count(1)
_TRIM = 0.005  # left to the caller to make use of the answer
_ATTEMPTS = 3
_REST = 1.0  # a restarted service is back within seconds, and one trial a second costs it nothing
_BACKOFF = 0.05
_FAIR = 1.0  # a callee that got less, for its caller's own haste, is not blamed for silence
_NO_TRUNK_SECONDS = 30.0  # how long a callee of an earlier version is called without one


class Peer:
    """A channel to one service.

    Args:
        callee: its name, as tokens and breakers know it.
        target: ``host:port``, of which a name may stand for many addresses; or addresses with commas between.
            Calls go round; a replica that is gone or drains is left at once, one that hangs when it answers
            no ping.
        identity: mints the tokens.
        silence_is_absence: whether a callee that does not answer in the time of its own is away, to a caller
            who has more. Not for those to whom it matters that what they asked may have been done.
    """

    def __init__(
        self, callee: str, target: str, *, identity: Identity, silence_is_absence: bool = False
    ) -> None:
        self.callee = callee
        self._silence_is_absence = silence_is_absence
        # one name may resolve to many addresses; a list of addresses has a scheme of its own
        resolved = f"ipv4:{target}" if "," in target else target
        # Channels of equal options share their connections: those below do, another peer's do not. They would
        # share what one met, until its last call is collected: a port once refused is not tried at once.
        options = (*_OPTIONS, ("malha.peer", next(_PEERS)))
        self._channel = grpc.aio.insecure_channel(resolved, options=options)
        self._single = [grpc.aio.insecure_channel(one, options=options) for one in target.split(",")]
        self._trunk = Trunk(self._single, callee)
        self._no_trunk_until = 0.0
        self.channel = cast("grpc.aio.Channel", Paths(self._channel))
        """For generated stubs, which ask a channel for callables and nothing else."""
        self._identity = identity
        self._breaker = Breaker(callee, reset_seconds=_REST, counts=_counts)
        self._lost_at = 0.0
        self._retries = RetryBudget()

    async def call(self, method: Unary[Q, R], request: Q, *, timeout: float, idempotent: bool = False) -> R:
        """Call a unary ``method`` of a stub on this channel for the current principal.

        Args:
            timeout: seconds; shortened to what the current call has left.
            idempotent: whether a call whose answer was lost may be made again.

        Raises:
            MalhaError: what the callee answered, or DEPENDENCY_UNAVAILABLE, or DEADLINE_EXCEEDED.
        """
        call = current()
        path = cast("Path[Q, R]", method)  # as `channel` hands them out
        self._retries.called()
        attempt = 1
        while True:
            try:
                return await self._attempt(path, request, call, timeout)
            except MalhaError as error:
                silent = error.reason == ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED
                if silent and self._silence_is_absence and call.remaining() > _BACKOFF:
                    raise unavailable(self.callee) from None
                away = error.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
                if not (idempotent and away and attempt < _ATTEMPTS and call.remaining() > _BACKOFF):
                    raise
                if not isinstance(error, NothingNewError) and not self._retries.spend():
                    metrics.RPC_RETRIES_REFUSED.labels(self.callee).inc()
                    raise
            metrics.RPC_RETRIES.labels(self.callee).inc()
            # full jitter: callers that failed together must not come back together
            await asyncio.sleep(random.uniform(0, _BACKOFF * 2**attempt))  # noqa: S311  # not a secret
            attempt += 1

    async def stream(
        self, method: Streaming[Q, R], requests: AsyncIterator[Q], *, timeout: float | None = None
    ) -> AsyncGenerator[R, None]:
        """Call a bidirectional ``method`` and yield its responses as they come. Closing it ends the call."""
        call = current()
        remaining = call.remaining() - _TRIM
        stream = method(
            requests,
            timeout=remaining if timeout is None else min(timeout, remaining),
            metadata=self._metadata(call),
        )
        try:
            async for response in stream:
                yield response
        except grpc.aio.AioRpcError as error:
            raise codec.from_rpc(error, self.callee) from None
        finally:
            stream.cancel()  # where whoever reads it leaves early; else it is over

    async def close(self) -> None:
        """End what is under way and close the channel."""
        await self._trunk.close()
        for channel in (self._channel, *self._single):
            await channel.close()

    async def _attempt(self, method: Path[Q, R], request: Q, call: Call, timeout: float) -> R:
        remaining = min(timeout, call.remaining() - _TRIM)
        if remaining <= 0:
            raise MalhaError(
                ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, f"no time is left to ask {self.callee}"
            )
        async with self._breaker:
            try:
                return await self._send(method, request, call, remaining)
            except MalhaError as error:
                silent = error.reason == ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED
                if silent and remaining < min(timeout, _FAIR):
                    raise without_blame(error) from None
                raise

    async def _send(self, method: Path[Q, R], request: Q, call: Call, seconds: float) -> R:
        """By the trunk, or by itself where that is better or there is none."""
        begun = time.monotonic()
        packed = method.serialize(request)
        if len(packed) <= MOST_BYTES and begun >= self._no_trunk_until:
            token = self._identity.mint(self.callee, call.principal)
            try:
                return method.deserialize(
                    await self._trunk.call(
                        method.method, packed, timeout=seconds, token=token, traceparent=traceparent()
                    )
                )
            except NoTrunkError:
                self._no_trunk_until = time.monotonic() + _NO_TRUNK_SECONDS
        try:
            answer = await method.single(request, timeout=seconds, metadata=self._metadata(call))
        except grpc.aio.AioRpcError as error:
            raise self._failure(error, begun) from None
        if answer is None:  # gRPC's word for an answer that was cut off just when the call's time was up
            raise without_blame(unavailable(self.callee))
        return answer

    def _failure(self, error: grpc.aio.AioRpcError, begun: float) -> MalhaError:
        failure = codec.from_rpc(error, self.callee)
        if codec.is_explained(error):
            leaves = failure.metadata.get("dependency") == self.callee  # so it says of itself
            return without_blame(failure) if leaves else failure
        if error.code() == grpc.StatusCode.CANCELLED:
            return without_blame(failure)
        if error.code() == grpc.StatusCode.UNAVAILABLE:
            blamed = begun < self._lost_at
            self._lost_at = time.monotonic()
            return without_blame(failure) if blamed else failure
        return failure

    def _metadata(self, call: Call) -> tuple[tuple[str, str], ...]:
        token = self._identity.mint(self.callee, call.principal)
        return (("malha-token", token), ("traceparent", traceparent()))


def _counts(error: BaseException) -> bool | None:
    return None if isinstance(error, NothingNewError) else blames_callee(error)
