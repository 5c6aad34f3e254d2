"""A connection to the shared server with the streams made, and a server of a test's own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from malha.run.nats_journal import Connection, connect, ensure_streams
from malha.stack import servers
from malha.testing.servers import RunningServer


@pytest.fixture
async def connection(nats_url: str) -> AsyncIterator[Connection]:
    opened = await connect(nats_url, name="tests")
    await ensure_streams(opened, max_bytes=256 << 20)
    yield opened
    await opened.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server of this test alone, to be taken away or set up wrongly."""
    server = RunningServer(servers.nats(tmp_path), tmp_path / "nats.log")
    server.start()
    yield server
    server.stop()
