"""Who leads, told among followers on a subject that is not stored: a word now and then, one on leaving."""

from __future__ import annotations

import asyncio
import contextlib

import nats.errors
from nats.aio.msg import Msg

from malha.run.nats_journal import Connection

SUBJECT = "malha.lead"
_LEADS, _LEAVES = b"leads", b"leaves"


class NatsPresence:
    """`malha_planner.ports.Presence` on NATS. It listens from its first question on."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._news = asyncio.Event()
        self._last = b""
        self._listens = False

    async def lead(self) -> None:
        await self._say(_LEADS)

    async def leave(self) -> None:
        await self._say(_LEAVES)

    async def led(self, within: float) -> bool:
        self._news.clear()
        if not self._listens:
            self._listens = True
            await self._connection.nc.subscribe(SUBJECT, cb=self._hear)
        try:
            async with asyncio.timeout(within):
                await self._news.wait()
        except TimeoutError:
            return False
        return self._last != _LEAVES

    async def _say(self, word: bytes) -> None:
        with contextlib.suppress(nats.errors.Error, OSError):  # unheard, another leads, and the fence decides
            await self._connection.nc.publish(SUBJECT, word)

    async def _hear(self, message: Msg) -> None:
        self._last = message.data
        self._news.set()
