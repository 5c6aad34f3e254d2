"""A gateway; two on one NATS behind the real edge; and a worker that plays runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from malha.run import Sealer
from malha.run.nats_journal import NatsDeltas, NatsJournal, NatsKeyRing, connect, read_master_key
from malha.stack.edge import envoy
from malha.stack.free_ports import free_port
from malha.stack.secrets import Secrets
from malha.testing.door import Door, running
from malha.testing.gateways import running_gateway
from malha.testing.peers import FakePeers
from malha.testing.servers import RunningServer
from malha.testing.streams import StreamHouse


@pytest.fixture(scope="session")
def secrets(tmp_state: Path) -> Secrets:
    """As lasting as the NATS whose keys they unwrap."""
    return Secrets(tmp_state / "gateway-secrets")


@pytest.fixture
async def door(tmp_path: Path, secrets: Secrets, nats_url: str, valkey_url: str) -> AsyncIterator[Door]:
    async with running(tmp_path, secrets, nats_url, valkey_url) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(
    tmp_path_factory: pytest.TempPathFactory, secrets: Secrets, nats_url: str, valkey_url: str
) -> AsyncIterator[StreamHouse]:
    """Readers that take nothing are let go after half a second; silent callers are asked after one."""
    # One event loop for all tests of a module: grpc.aio 1.78 crashes where a loop ends soon after a call
    # was reset.
    state = tmp_path_factory.mktemp("streams")
    async with AsyncExitStack() as stack:
        peers = await stack.enter_async_context(FakePeers(secrets))
        gateways = [
            await stack.enter_async_context(
                running_gateway(
                    state / name,
                    secrets,
                    peers,
                    nats_url=nats_url,
                    valkey_url=valkey_url,
                    reader_patience_seconds=0.5,
                    ask_seconds=1.0,
                )
            )
            for name in ("a", "b")
        ]
        edge = RunningServer(envoy(state, port=free_port(), gateways=gateways), state / "edge.log")
        await asyncio.to_thread(edge.start)  # its readiness is asked of gateways on this loop
        stack.callback(edge.stop)
        connection = await connect(nats_url, name="worker")
        stack.push_async_callback(connection.close)
        master = read_master_key(secrets.of("planner") / "master.key")
        worker = NatsJournal(connection), Sealer(NatsKeyRing(connection, master))
        port = int(edge.url.rpartition(":")[2])
        made = StreamHouse(secrets.api_key, gateways, port, worker, NatsDeltas(connection))
        stack.push_async_callback(made.close)
        yield made
