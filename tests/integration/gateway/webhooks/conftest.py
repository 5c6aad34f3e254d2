"""Gateways of one database that reach receivers on this machine, and a planner that announces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from malha.run.nats_journal import Connection, connect, ensure_streams
from malha.stack.secrets import Secrets
from malha.testing.gateways import running_gateway
from malha.testing.peers import FakePeers
from malha.testing.servers import RunningServer
from malha.testing.webhooks import Gateway, Hooks


@pytest.fixture
async def planner(nats_server: RunningServer) -> AsyncIterator[Connection]:
    """Whoever announces events."""
    connection = await connect(nats_server.url, name="planner")
    await ensure_streams(connection)
    yield connection
    await connection.close()


@pytest.fixture
async def gateway(tmp_path: Path, secrets: Secrets, nats_url: str, valkey_url: str) -> AsyncIterator[Gateway]:
    """Gateways on one database, as replicas of one machine are."""
    async with FakePeers(secrets) as peers:

        def started(**settings: Any) -> AbstractAsyncContextManager[int]:
            (tmp_path / "gateway" / "port").unlink(missing_ok=True)
            said: dict[str, Any] = {"webhook_networks": ["127.0.0.0/8"], "webhook_retry_seconds": 0.1}
            return running_gateway(
                *(tmp_path / "gateway", secrets, peers),
                nats_url=nats_url,
                valkey_url=valkey_url,
                **said | settings,
            )

        yield started


@pytest.fixture
async def hooks(gateway: Gateway, secrets: Secrets) -> AsyncIterator[Hooks]:
    """A running gateway's."""
    async with gateway() as port:
        yield Hooks(port, secrets.api_key)
