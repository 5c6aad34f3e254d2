"""A TCP proxy that cuts connections after so many bytes of the answer, wherever that is, or holds them up."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from types import TracebackType

_CHUNK = 16 * 1024


class CuttingProxy:
    """``async with CuttingProxy(port) as proxy:`` listens on ``proxy.port``.

    ``proxy.offsets`` are bytes: each connection takes one and is aborted, both ways, once that many bytes
    of the answer have passed. Connections that find none left are not cut. In the first
    ``proxy.silent_seconds`` of a connection nothing passes.
    """

    def __init__(self, callee: int) -> None:
        self.port = 0
        self.offsets: deque[int] = deque()
        self.cuts = 0
        self.silent_seconds = 0.0
        self._callee = callee
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> CuttingProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, asking: asyncio.StreamReader, told: asyncio.StreamWriter) -> None:
        offset = self.offsets.popleft() if self.offsets else None
        await asyncio.sleep(self.silent_seconds)
        answering, asked = await asyncio.open_connection("127.0.0.1", self._callee)
        ways = [
            asyncio.create_task(_pass(asking, asked, None)),
            asyncio.create_task(_pass(answering, told, offset)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.cuts += offset is not None
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for writer in (told, asked):
                writer.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None) -> None:
    """Pass bytes on until there are no more, or none ``left`` to pass."""
    with contextlib.suppress(OSError):
        while left is None or left > 0:
            chunk = await reader.read(_CHUNK if left is None else min(_CHUNK, left))
            if not chunk:
                return
            if left is not None:
                left -= len(chunk)
            writer.write(chunk)
            await writer.drain()
