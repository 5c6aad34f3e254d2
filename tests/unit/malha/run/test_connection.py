"""A connection to NATS comes back from whatever a server says, by a server that says it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from malha.run.nats_journal import connect

INFO = b'INFO {"server_id":"X","version":"2.12.0","headers":true,"max_payload":1048576}\r\n'


class Server:
    """Greets, answers pings, and keeps what clients subscribe to."""

    def __init__(self) -> None:
        self.subscribed: list[asyncio.Queue[bytes]] = []
        self.clients: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        subjects = asyncio.Queue[bytes]()
        self.subscribed.append(subjects)
        self.clients.append(writer)
        writer.write(INFO)
        try:
            while line := await reader.readline():
                if line.startswith(b"PING"):
                    writer.write(b"PONG\r\n")
                elif line.startswith(b"SUB "):
                    subjects.put_nowait(line.split()[1])
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, str]]:
    served = Server()
    async with await asyncio.start_server(served.serve, "127.0.0.1", 0) as listening:
        yield served, f"nats://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        for client in served.clients:
            client.close()


@pytest.mark.parametrize(
    "said", ["Authorization Violation", "User Authentication Expired", "Slow Consumer", "Stale Connection"]
)
async def test_a_server_that_says_why_it_hangs_up_is_connected_to_again(
    server: tuple[Server, str], said: str
) -> None:
    served, url = server
    connection = await connect(url, name="test")
    back = asyncio.Event()
    connection.on_reconnect(back.set)
    try:
        served.clients[0].write(f"-ERR '{said}'\r\n".encode())
        served.clients[0].close()
        async with asyncio.timeout(10):
            await back.wait()
            assert (await served.subscribed[1].get()).startswith(b"_INBOX_test.")  # it hears answers again
    finally:
        await connection.close()


async def test_one_refused_subject_leaves_the_connection_as_it_is(server: tuple[Server, str]) -> None:
    served, url = server
    connection = await connect(url, name="test")
    try:
        served.clients[0].write(b"-ERR 'Permissions Violation for Subscription to \"secret\"'\r\n")
        async with asyncio.timeout(10):
            await connection.nc.flush()
        assert connection.connected
        assert len(served.clients) == 1
    finally:
        await connection.close()


async def test_servers_that_fail_in_turns_are_a_line_each(server: tuple[Server, str]) -> None:
    connection = await connect(server[1], name="test")
    try:
        with capture_logs() as logged:
            for turn in range(50):
                await connection._on_error(OSError(f"server {turn % 3} refuses"))
        assert [line["text"][:8] for line in logged] == ["server 0", "server 1", "server 2"]
    finally:
        await connection.close()
