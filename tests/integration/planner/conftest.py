"""A planner on a real nats-server of the test's own; what it calls besides is in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from malha.run.nats_journal import Connection, connect, ensure_streams
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.servers import RunningServer


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
