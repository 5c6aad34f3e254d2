"""What the supervisor is told by a service it asks how it is."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from malha.stack.free_ports import free_port
from malha.stack.health import Health, health
from malha.testing.obedient import identities
from malha.wire import Server


@contextmanager
def hanging_up(port: int) -> Iterator[None]:
    """Somebody who takes connections on ``port`` and ends them at once."""
    with socket.create_server(("127.0.0.1", port)) as listening:

        def hang_up() -> None:
            while True:
                try:
                    listening.accept()[0].close()
                except OSError:
                    return

        thread = threading.Thread(target=hang_up)
        thread.start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


async def test_a_service_is_ready_as_soon_as_it_says_so_whatever_was_on_its_port_before() -> None:
    port = free_port()
    with hanging_up(port):
        assert await asyncio.to_thread(health, port) is Health.SILENT
    server = Server("guard", identity=identities("guard")["guard"])
    await server.start(f"127.0.0.1:{port}")
    assert await asyncio.to_thread(health, port) is Health.READY
    await server.ready(False)
    assert await asyncio.to_thread(health, port) is Health.BUSY
    await server.drain(0)
    assert await asyncio.to_thread(health, port) is Health.SILENT
