"""A planner on a real nats-server of the test's own; what it calls besides is in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from malha.run.nats_journal import Connection, connect, ensure_streams
from malha.stack import servers
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.servers import RunningServer


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RunningServer]:
    server = RunningServer(servers.nats(tmp_path), tmp_path / "nats.log")
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def connection(own_server: RunningServer) -> AsyncIterator[Connection]:
    opened = await connect(own_server.url, name="tests")
    await ensure_streams(opened, max_bytes=256 << 20)
    yield opened
    await opened.close()


@pytest.fixture
async def planner(connection: Connection, tmp_path: Path) -> AsyncIterator[PlannerOnNats]:
    async with PlannerOnNats(connection, tmp_path / "planner") as made:
        yield made
