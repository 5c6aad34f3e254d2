"""A connection to the shared server with the streams made."""

from collections.abc import AsyncIterator

import pytest

from malha.run.nats_journal import Connection, connect, ensure_streams


@pytest.fixture
async def connection(nats_url: str) -> AsyncIterator[Connection]:
    opened = await connect(nats_url, name="tests")
    await ensure_streams(opened, max_bytes=256 << 20)
    yield opened
    await opened.close()
