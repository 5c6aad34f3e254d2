"""The wires between processes as a test can hurt them: TCP proxies that cut, delay, or fall silent.

One link is one caller's way to one callee. It listens on a port of its own; where the callee is, it
learns when the mesh is up (``malha.testing.faults.mesh`` writes it down).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

_CHUNK = 64 * 1024


class Link:
    """One proxy. ``delay`` seconds are added to every chunk; while ``open`` is clear nothing passes."""

    def __init__(self, name: str, callee: Callable[[], int]) -> None:
        self.name = name
        self.delay = 0.0
        self.open = asyncio.Event()
        self.open.set()
        self._callee = callee
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen on a free port of loopback."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Abort every connection, both ways, without a word."""
        for pair in list(self._pairs):
            for writer in pair:
                writer.transport.abort()

    async def close(self) -> None:
        """Take no more, drop what is there."""
        if self._server is not None:
            self._server.close()
        self.open.set()
        self.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.open.wait()
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._callee(), limit=_CHUNK)
        except OSError:
            writer.transport.abort()  # as a process that is away refuses
            return
        for one in (writer, back):
            found = one.get_extra_info("socket")
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = (writer, back)
        self._pairs.add(pair)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pass(reader, back))
                ways.create_task(self._pass(there, writer))
        except* OSError:
            pass  # one side is gone, so the other is too
        finally:
            self._pairs.discard(pair)
            for one in pair:
                one.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            if self.delay:
                await asyncio.sleep(self.delay)
            await self.open.wait()
            writer.write(chunk)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
        raise ConnectionResetError


class Links:
    """``async with``: a proxy for each link of the mesh, by "<caller>-<callee>".

    Args:
        routes: the file in which the mesh says where the callees are.
    """

    NAMES = (
        *("gateway-nats", "planner-nats", "gateway-valkey", "tools-valkey"),
        *("gateway-guard", "gateway-planner", "gateway-cost"),
        *("planner-guard", "planner-tools", "planner-cost", "tools-retrieval"),
    )

    def __init__(self, routes: Path) -> None:
        self._routes = routes
        self._ports: dict[str, int] = {}
        self.by_name = {name: Link(name, lambda name=name: self._port(name)) for name in self.NAMES}  # type: ignore[misc] # bound now, not later

    async def __aenter__(self) -> Links:
        for link in self.by_name.values():
            await link.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for link in self.by_name.values():
            await link.close()

    def ports(self) -> dict[str, int]:
        """Where each link listens."""
        return {name: link.port for name, link in self.by_name.items()}

    def _port(self, name: str) -> int:
        if not self._ports:
            self._ports = json.loads(self._routes.read_text())
        return self._ports[name.partition("-")[2]]
