"""The callee's end of a trunk: calls in, through the chain like any other, answers out as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc.aio

from malha.api.wire.v1.trunk_pb2 import Answer, Call
from malha.api.wire.v1.trunk_service_pb2 import CarryRequest, CarryResponse
from malha.api.wire.v1.trunk_service_pb2_grpc import TrunkServiceServicer
from malha.errors import ErrorReason, MalhaError
from malha.tasks import end
from malha.wire import codec
from malha.wire.chain import Carried
from malha.wire.trunk import FRAME_BYTES

Context = grpc.aio.ServicerContext[Any, Any]


class Carrier(TrunkServiceServicer):
    """Serves the contract ``malha.api.wire.v1.TrunkService`` over the methods of a server.

    Args:
        methods: by full name; may still grow.
    """

    def __init__(self, methods: Mapping[str, Carried]) -> None:
        self._methods = methods
        self._lanes: set[_Lane] = set()
        self._draining = False

    async def Carry(  # type: ignore[override]  # grpc.aio takes a coroutine that writes as well as a generator
        self, _requests: AsyncIterator[CarryRequest], context: Context
    ) -> None:
        lane = _Lane(self._methods)
        self._lanes.add(lane)
        if self._draining:
            lane.drain()
        reading = asyncio.create_task(lane.read(context))
        try:
            while (response := await lane.next()) is not None:
                await context.write(response)
        finally:
            self._lanes.discard(lane)
            await end(reading, *lane.calls.values())

    def drain(self) -> None:
        """Ask every caller to go elsewhere, the just arriving too; what it sent is still answered."""
        self._draining = True
        for lane in self._lanes:
            lane.drain()


class _Lane:
    """One stream."""

    def __init__(self, methods: Mapping[str, Carried]) -> None:
        self._methods = methods
        self._answers: deque[Answer] = deque()
        self._something = asyncio.Event()
        self._heard_all = False
        self._draining = False
        self.calls: dict[int, asyncio.Task[None]] = {}

    async def read(self, context: Context) -> None:
        """Begin what comes in until the caller half-closes."""
        while isinstance(request := await context.read(), CarryRequest):
            for call in request.calls:
                self.calls[call.id] = asyncio.create_task(self._serve(call))
            for gone in request.cancelled:
                if (task := self.calls.get(gone)) is not None:
                    task.cancel()
        self._heard_all = True
        self._something.set()

    async def next(self) -> CarryResponse | None:
        """What there is to say, once there is something; None when all is said."""
        while not self._answers and not self._draining:
            if self._heard_all and not self.calls:
                return None
            await self._something.wait()
            self._something.clear()
        draining, self._draining = self._draining, False
        answers, size = [], 0
        while self._answers and size < FRAME_BYTES:
            answers.append(self._answers.popleft())
            size += len(answers[-1].response)
        return CarryResponse(answers=answers, draining=draining)

    def drain(self) -> None:
        self._draining = True
        self._something.set()

    async def _serve(self, call: Call) -> None:
        try:
            async with asyncio.timeout(call.timeout_ms / 1000):
                self._answers.append(Answer(id=call.id, response=await self._answer(call)))
        except TimeoutError:
            pass  # the caller has given up by now
        except MalhaError as error:
            self._answers.append(Answer(id=call.id, status=codec.to_status(error).SerializeToString()))
        finally:
            self.calls.pop(call.id, None)
            self._something.set()

    async def _answer(self, call: Call) -> bytes:
        method = self._methods.get(call.method)
        if method is None:
            raise MalhaError(ErrorReason.ERROR_REASON_INTERNAL, "there is no such method")
        metadata = {"malha-token": call.token, "traceparent": call.traceparent}
        return await method.answer(call.request, metadata, call.timeout_ms / 1000)
