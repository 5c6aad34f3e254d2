"""A receiver of webhooks that keeps what it is sent, and answers as it is told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import orjson
from aiohttp import web

from malha.webhooks import ForgedError, verify

_SECONDS = 20.0


class Receiver:
    """``async with Receiver() as receiver:`` serves on a free port of this machine.

    ``secret`` must be set before anything is sent: what does not carry its signature is ``forged``.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.secret = ""
        self.answers: list[int] = []
        """Statuses of the next answers; 200 once there are none."""
        self.location = ""
        self.hold: asyncio.Event | None = None
        """Set to an Event: answers wait for it."""
        self.taken: list[dict[str, Any]] = []
        """Events that were answered with 200."""
        self.refused: list[dict[str, Any]] = []
        self.forged = 0
        self.under_way = self.most_under_way = 0
        self._came = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Receiver:
        app = web.Application()
        app.router.add_post("/hook", self._receive)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/hook"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        if self.hold is not None:
            self.hold.set()
        await self._runner.cleanup()

    def ids(self) -> list[str]:
        """Of the events taken, in the order they came."""
        return [event["id"] for event in self.taken]

    async def until(self, ids: Sequence[str]) -> None:
        """Return once these were taken."""
        async with asyncio.timeout(_SECONDS):
            while not set(ids) <= set(self.ids()):
                self._came.clear()
                await self._came.wait()

    async def until_type(self, event_type: str) -> None:
        """Return once one of this type was taken."""
        async with asyncio.timeout(_SECONDS):
            while all(event["type"] != event_type for event in self.taken):
                self._came.clear()
                await self._came.wait()

    async def until_refused(self, count: int) -> None:
        """Return once so many were refused."""
        async with asyncio.timeout(_SECONDS):
            while len(self.refused) < count:
                self._came.clear()
                await self._came.wait()

    async def _receive(self, request: web.Request) -> web.Response:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            body = await request.read()
            try:
                event_id = verify(self.secret, request.headers, body)
            except ForgedError:
                self.forged += 1
                return web.Response(status=401)
            if self.hold is not None:
                await self.hold.wait()
            event = orjson.loads(body)
            assert event["id"] == event_id
            status = self.answers.pop(0) if self.answers else 200
            (self.taken if status == 200 else self.refused).append(event)
            headers = {"location": self.location} if self.location else None
            return web.Response(status=status, headers=headers)
        finally:
            self.under_way -= 1
            self._came.set()
