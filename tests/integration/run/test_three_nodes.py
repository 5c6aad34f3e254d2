"""On three nodes, with the leader killed under the writers: one winner a sequence, and no ghosts.

An append that was under way when the leader died may be stored or not, and its answer is lost either
way; this is where looking for one's nonce, and sending again under the same one, earn their keep.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from malha.errors import MalhaError
from malha.run import Fenced
from malha.run.nats_journal import RUNS, Connection, NatsJournal, connect, ensure_streams
from malha.stack.program import Program, exchange, free_port
from malha.stack.servers import find_nats
from malha.testing.records import RecordsOf
from malha.testing.servers import RunningServer

NODES = 3
RACERS = 6


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[RunningServer]]:
    """Three nats-servers that route to one another; node n is named "n<n>"."""
    routes = [free_port() for _ in range(NODES)]
    nodes = [_node(tmp_path / f"n{number}", number, routes) for number in range(NODES)]
    with contextlib.ExitStack() as stack:
        for node in nodes:
            stack.callback(node.kill)
            node.start()
        yield nodes


def _node(folder: Path, number: int, routes: list[int]) -> RunningServer:
    folder.mkdir()
    port = free_port()
    config = folder / "nats.conf"
    config.write_text(
        f"server_name: n{number}\nlisten: 127.0.0.1:{port}\n"
        f'jetstream {{ store_dir: "{folder}" }}\n'
        f"cluster {{ name: test, listen: 127.0.0.1:{routes[number]}, "
        f"routes: [{', '.join(f'nats://127.0.0.1:{route}' for route in routes)}] }}\n"
    )
    program = Program(
        name=f"nats-{number}",
        argv=(find_nats(), "--config", str(config)),
        ready=lambda: b'"jetstream":true' in exchange(port, b""),
        url=f"nats://127.0.0.1:{port}",
    )
    return RunningServer(program, folder / "log")


@contextlib.asynccontextmanager
async def _connected(cluster: list[RunningServer]) -> AsyncIterator[list[Connection]]:
    async with contextlib.AsyncExitStack() as stack:
        connections = []
        for node in cluster:
            connection = await connect(node.url, name="three-nodes", timeout=10)
            stack.push_async_callback(connection.close)
            connections.append(connection)
        async with asyncio.timeout(30):
            while True:  # until the nodes have found one another and chosen who leads
                try:
                    await ensure_streams(connections[0], replicas=NODES, max_bytes=256 << 20)
                    break
                except MalhaError:
                    await asyncio.sleep(0.1)
        yield connections


async def _leader(connection: Connection) -> int:
    info = await connection.js.stream_info(RUNS)
    assert info.cluster is not None
    assert info.cluster.leader is not None
    return int(info.cluster.leader[1:])


@pytest.mark.timeout(120)
async def test_killing_the_leader_under_racing_writers_loses_and_doubles_nothing(
    cluster: list[RunningServer],
) -> None:
    run = RecordsOf()
    async with _connected(cluster) as connections:
        journals = [NatsJournal(connection, patience=30, answer_within=0.5) for connection in connections]

        async def race(racer: int, expected: int) -> int:
            record = run.claimed(worker=f"w{racer}", item=expected)
            try:
                return (await journals[racer % NODES].append(record, expected=expected)).sequence
            except Fenced:
                return 0

        sequences = [(await journals[0].append(run.accepted(), expected=0)).sequence]
        for turn in range(60):
            async with asyncio.TaskGroup() as tasks:
                racers = [tasks.create_task(race(racer, sequences[-1])) for racer in range(RACERS)]
                if turn == 30:
                    dead = await _leader(connections[0])
                    await asyncio.to_thread(cluster[dead].kill)
                    cluster[dead].start()  # on this thread: a server dies with the thread that started it
            winners = [sequence for sequence in (racer.result() for racer in racers) if sequence]
            assert len(winners) == 1
            sequences.append(winners[0])
        for journal in journals:
            stored = await journal.load(run.tenant, run.run_id)
            assert [entry.sequence for entry in stored] == sequences
