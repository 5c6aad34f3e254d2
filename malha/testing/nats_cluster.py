"""Three nats-servers that keep every record thrice, for tests that take one of them away."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from malha.run.nats_journal import RUNS, Connection
from malha.stack import servers
from malha.testing.servers import RunningServer

NODES = 3


class NatsCluster:
    """Nodes nats-1, nats-2 and nats-3; ``url`` names all of them, as services are told.

    Streams that span the nodes are made by ``ensure_streams(connection, replicas=NODES)``, which waits
    until the nodes have found one another.
    """

    def __init__(self, state: Path, *, extra: str = "") -> None:
        programs = servers.nats_cluster(state, nodes=NODES, extra=extra)
        self.nodes = {
            program.name: RunningServer(program, state / f"{program.name}.log") for program in programs
        }
        self.url = ",".join(program.url for program in programs)

    def stop(self) -> None:
        """End all nodes at once: nothing of a test's cluster is needed again."""
        for node in self.nodes.values():
            node.kill()

    async def leader(self, connection: Connection, stream: str = RUNS) -> RunningServer:
        """The node that decides on the stream's appends now."""
        info = await connection.js.stream_info(stream)
        assert info.cluster is not None
        assert info.cluster.leader is not None, "the nodes are choosing"
        return self.nodes[info.cluster.leader]


@contextlib.contextmanager
def running_cluster(state: Path, *, extra: str = "") -> Iterator[NatsCluster]:
    """A cluster for the length of the block. Enter it on the main thread: nodes end with their thread."""
    cluster = NatsCluster(state, extra=extra)
    try:
        for node in cluster.nodes.values():
            node.start()
        yield cluster
    finally:
        cluster.stop()
