"""Real servers for every test that asks for one: one of each per test process, dead when it ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from malha.stack import servers
from malha.testing.nats_cluster import NatsCluster, running_cluster
from malha.testing.servers import RunningServer

settings.register_profile("malha", deadline=None)  # a busy machine is no fault of an example's
settings.load_profile("malha")


@pytest.fixture(scope="session")
def tmp_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where this test process's servers keep their state."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="session")
def nats_server(tmp_state: Path) -> Iterator[RunningServer]:
    """A nats-server with JetStream, without users. A test that stops it starts it again."""
    server = RunningServer(servers.nats(tmp_state), tmp_state / "nats.log")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def nats_url(nats_server: RunningServer) -> str:
    return nats_server.url


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RunningServer]:
    """A nats-server of this test alone, to be taken away or set up wrongly."""
    server = RunningServer(servers.nats(tmp_path), tmp_path / "nats.log")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def nats_cluster(tmp_state: Path) -> Iterator[NatsCluster]:
    """Three nats-servers without users. A test that kills one starts it again."""
    with running_cluster(tmp_state / "cluster") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def valkey_server(tmp_state: Path) -> Iterator[RunningServer]:
    """A Valkey without a password. A test that stops it starts it again."""
    server = RunningServer(servers.valkey(tmp_state), tmp_state / "valkey.log")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey_url(valkey_server: RunningServer) -> str:
    return valkey_server.url
