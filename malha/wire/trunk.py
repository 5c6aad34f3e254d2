"""The caller's end of a trunk: one stream to a callee that carries all unary calls to it.

A call of its own costs gRPC a quarter of a millisecond of CPU on the two sides, a message of a stream a
fifth of that; and what becomes due in one turn of the loop shares one message. The calls of a stream
are apart in all else: each has its own deadline, token, trace and outcome.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

import grpc.aio
from google.rpc import status_pb2

from malha.api.wire.v1.trunk_pb2 import Answer, Call
from malha.api.wire.v1.trunk_service_pb2 import CarryRequest, CarryResponse
from malha.api.wire.v1.trunk_service_pb2_grpc import TrunkServiceStub
from malha.errors import ErrorReason, MalhaError, unavailable
from malha.tasks import end
from malha.telemetry import log
from malha.wire import codec
from malha.wire.lost import without_blame

Q = TypeVar("Q")
R = TypeVar("R")
_Carry: TypeAlias = "grpc.aio.StreamStreamMultiCallable[CarryRequest, CarryResponse]"

MOST_BYTES = 64 * 1024
"""Requests above this go by themselves: nothing waits behind a large one."""
FRAME_BYTES = 1024 * 1024
"""What one message of a stream is filled with; a last call or answer may go beyond."""
_LIFETIME = 60.0
"""Seconds after which a stream is left for a new one, which may go to another replica."""


class NoTrunkError(Exception):
    """The callee serves no trunk: a process of an earlier version. Nothing was carried out."""


class Path(Generic[Q, R]):
    """What a generated stub holds of a unary method: enough to call it by a trunk, or by itself."""

    __slots__ = ("deserialize", "method", "serialize", "single")

    def __init__(
        self,
        channel: grpc.aio.Channel,
        method: str,
        serialize: Callable[[Q], bytes],
        deserialize: Callable[[bytes], R],
    ) -> None:
        self.method = method
        self.serialize = serialize
        self.deserialize = deserialize
        self.single: grpc.aio.UnaryUnaryMultiCallable[Q, R] = channel.unary_unary(
            method, serialize, deserialize
        )

    def __call__(self, request: Q, **options: Any) -> grpc.aio.UnaryUnaryCall[Q, R]:
        """Call it by itself, as on any channel."""
        return self.single(request, **options)


class Paths:
    """What a generated stub takes for a channel: unary methods become a :class:`Path` each."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self.unary_stream = channel.unary_stream
        self.stream_unary = channel.stream_unary
        self.stream_stream = channel.stream_stream

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[Q], bytes],
        response_deserializer: Callable[[bytes], R],
        **_: Any,
    ) -> Path[Q, R]:
        return Path(self._channel, method, request_serializer, response_deserializer)


class Trunk:
    """The streams to one callee, opened as they are needed.

    Args:
        channels: one for each address of the callee. Those that are connected take calls in turn.
        callee: its name, for errors.
    """

    def __init__(self, channels: Sequence[grpc.aio.Channel], callee: str) -> None:
        self._callee = callee
        self._addresses = deque(_Address(channel, callee) for channel in channels)

    async def call(
        self, method: str, request: bytes, *, timeout: float, token: str, traceparent: str
    ) -> bytes:
        """The response, serialised.

        Raises:
            MalhaError: what the callee answered, DEADLINE_EXCEEDED, or DEPENDENCY_UNAVAILABLE (it may or
                may not have been carried out).
            NoTrunkError: the callee serves no trunk.
        """
        call = Call(
            method=method,
            request=request,
            timeout_ms=int(timeout * 1000),
            token=token,
            traceparent=traceparent,
        )
        try:
            async with asyncio.timeout(timeout):
                return await self._line().call(call)
        except TimeoutError:
            raise MalhaError(
                ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED,
                f"{self._callee} did not answer within the time allowed",
            ) from None

    @property
    def streams(self) -> int:
        """How many take calls now."""
        return sum(address.takes_calls for address in self._addresses)

    async def close(self) -> None:
        """End all streams, and with them the calls under way."""
        await asyncio.gather(*(address.close() for address in self._addresses))

    def _line(self) -> _Line:
        """A stream that takes calls."""
        for _ in range(len(self._addresses)):
            self._addresses.rotate()
            if self._addresses[0].connected():
                break
        return self._addresses[0].line()


class _Address:
    """One address of a callee, and the streams to it."""

    def __init__(self, channel: grpc.aio.Channel, callee: str) -> None:
        self._channel = channel
        self._carry: _Carry = TrunkServiceStub(channel).Carry
        self._callee = callee
        self._line: _Line | None = None
        self._left: set[_Line] = set()

    def connected(self) -> bool:
        """Whether somebody is there; where not, it is looked for."""
        return self._channel.get_state(try_to_connect=True) == grpc.ChannelConnectivity.READY

    @property
    def takes_calls(self) -> bool:
        """Whether a stream to it is open for calls."""
        return self._line is not None and self._line.taking()

    def line(self) -> _Line:
        """A stream that takes calls."""
        if self._line is not None and not self._line.taking():
            self._line.leave()
            self._left = {one for one in (*self._left, self._line) if not one.over}
            self._line = None
        if self._line is None:
            # a context of its own, and of the tasks that it and gRPC begin: a stream outlives the call,
            # principal and span that opened it
            self._line = Context().run(lambda: _Line(self._carry(), self._callee))
        return self._line

    async def close(self) -> None:
        lines = [*self._left, *((self._line,) if self._line else ())]
        await asyncio.gather(*(line.close() for line in lines))


class _Line:
    """One stream."""

    def __init__(self, stream: grpc.aio.StreamStreamCall[CarryRequest, CarryResponse], callee: str) -> None:
        self._callee = callee
        self._stream = stream
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._due: deque[Call] = deque()
        self._cancelled: list[int] = []
        self._something = asyncio.Event()
        self._leaving = False
        self._callee_leaves = False
        """It said so: what it sends back or loses from then on is no failure of it."""
        self.over = False
        loop = asyncio.get_running_loop()
        self._until = loop.time() + _LIFETIME
        self._reading = loop.create_task(self._read())
        self._writing = loop.create_task(self._write())

    def taking(self) -> bool:
        """Whether it takes further calls."""
        return not (self.over or self._leaving) and asyncio.get_running_loop().time() < self._until

    async def call(self, call: Call) -> bytes:
        call.id = next(self._ids)
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[call.id] = answered
        self._due.append(call)
        self._something.set()
        try:
            return await answered
        finally:
            if self._waiting.pop(call.id, None) is not None and not self.over:
                self._cancelled.append(call.id)  # the caller went away first
                self._something.set()

    def leave(self) -> None:
        """Take no further calls, and end once those under way are answered."""
        self._leaving = True
        self._something.set()

    async def close(self) -> None:
        """End now; calls under way fail."""
        self._stream.cancel()
        await end(self._reading, self._writing)

    async def _write(self) -> None:
        try:
            while True:
                await self._something.wait()
                self._something.clear()
                while self._due or self._cancelled:
                    await self._stream.write(self._frame())
                if self._leaving and not self._waiting:  # till then a caller may still give up
                    await self._stream.done_writing()
                    return
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the stream is over; the reader says why

    def _frame(self) -> CarryRequest:
        calls, size = [], 0
        while self._due and size < FRAME_BYTES:
            call = self._due.popleft()
            if call.id in self._waiting:
                calls.append(call)
                size += len(call.request)
        cancelled, self._cancelled = self._cancelled, []
        return CarryRequest(calls=calls, cancelled=cancelled)

    async def _read(self) -> None:
        # one each, since an error takes on the trace of whoever is told of it
        failure: Callable[[], Exception] = partial(unavailable, self._callee)
        further: Callable[[], Exception] = self._lost_with_others
        try:
            while isinstance(response := await self._stream.read(), CarryResponse):
                if response.draining:
                    self._callee_leaves = True
                    self.leave()
                for answer in response.answers:
                    self._answered(answer)
                if self._leaving:
                    self._something.set()
        except grpc.aio.AioRpcError as error:
            # Whatever else ends a stream, such as CANCELLED or UNKNOWN where a connection was cut, tells
            # nothing of the calls on it: each may have been carried out.
            if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                failure = further = NoTrunkError
            elif error.code() == grpc.StatusCode.CANCELLED:  # so says a server that leaves
                self._callee_leaves = True
            elif not self._callee_leaves:
                said = {"code": error.code().name, "said": error.details()}
                log.warning("stream_lost", callee=self._callee, calls=len(self._waiting), **said)
        finally:
            self.over = True
            self._writing.cancel()
            waiting, self._waiting = self._waiting, {}
            if self._callee_leaves:
                failure = further
            for answered in waiting.values():
                if not answered.done():
                    answered.set_exception(failure())
                    failure = further

    def _lost_with_others(self) -> Exception:
        return without_blame(unavailable(self._callee))

    def _answered(self, answer: Answer) -> None:
        answered = self._waiting.pop(answer.id, None)
        if answered is None or answered.done():
            return  # its caller went away
        if not answer.HasField("status"):
            answered.set_result(answer.response)
            return
        error = codec.from_status(status_pb2.Status.FromString(answer.status))
        sent_back = error.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE and self._callee_leaves
        answered.set_exception(without_blame(error) if sent_back else error)
