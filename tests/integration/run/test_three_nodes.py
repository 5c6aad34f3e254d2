"""On three nodes, with the leader killed under the writers: one winner a sequence, and no ghosts.

An append that was under way when the leader died may be stored or not, and its answer is lost either
way; this is where looking for one's nonce, and sending again under the same one, earn their keep.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from malha.run import Fenced
from malha.run.nats_journal import Connection, NatsJournal, connect, ensure_streams
from malha.testing.nats_cluster import NODES, NatsCluster
from malha.testing.records import RecordsOf

RACERS = 6


@pytest.fixture
async def connections(nats_cluster: NatsCluster) -> AsyncIterator[list[Connection]]:
    """One to each node first; each goes over to another where its own dies."""
    async with contextlib.AsyncExitStack() as stack:
        opened = []
        for node in nats_cluster.nodes.values():
            connection = await connect(node.url, name="three-nodes", timeout=10)
            stack.push_async_callback(connection.close)
            opened.append(connection)
        await ensure_streams(opened[0], replicas=NODES, max_bytes=256 << 20, patience=60)
        yield opened


@pytest.mark.timeout(120)
async def test_killing_the_leader_under_racing_writers_loses_and_doubles_nothing(
    nats_cluster: NatsCluster, connections: list[Connection]
) -> None:
    run = RecordsOf()
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
                (await nats_cluster.leader(connections[0])).restart(crash=True)
        winners = [sequence for sequence in (racer.result() for racer in racers) if sequence]
        assert len(winners) == 1
        sequences.append(winners[0])
    for journal in journals:
        stored = await journal.load(run.tenant, run.run_id)
        assert [entry.sequence for entry in stored] == sequences


async def test_when_the_leader_dies_under_load_two_nodes_go_on_and_no_acknowledged_record_is_lost(
    nats_cluster: NatsCluster, connections: list[Connection]
) -> None:
    acknowledged: dict[str, list[int]] = {}
    journals = [NatsJournal(connection, patience=30, answer_within=0.5) for connection in connections]
    leader = await nats_cluster.leader(connections[0])
    dead, after = asyncio.Event(), asyncio.Semaphore(0)

    async def write(number: int) -> None:
        """A run's records one after the other, until each writer has seen ten more after the death."""
        run, journal = RecordsOf(), journals[number % NODES]
        sequences = acknowledged[run.run_id] = [(await journal.append(run.accepted(), expected=0)).sequence]
        left = 10
        while left:
            left -= dead.is_set()
            entry = await journal.append(run.claimed(item=sequences[-1]), expected=sequences[-1])
            sequences.append(entry.sequence)
            after.release()

    async with asyncio.TaskGroup() as tasks:
        for number in range(16):
            tasks.create_task(write(number))
        for _ in range(64):
            await after.acquire()
        leader.kill()
        dead.set()

    assert (await nats_cluster.leader(connections[0])) is not leader
    tenant = RecordsOf().tenant
    for journal in journals:
        for run_id, sequences in acknowledged.items():
            assert [entry.sequence for entry in await journal.load(tenant, run_id)] == sequences
    leader.start()
