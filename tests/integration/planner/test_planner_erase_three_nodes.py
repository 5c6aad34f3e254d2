"""Erasing where three nodes keep each record: no byte of a run is left in the streams of any of them.

What the nodes told each other stands in their logs for two or three minutes more, by nats-server's own
rule: `python -m benchmarks.erasure` measures how long.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from malha.api.common.v1.principal_pb2 import Principal
from malha.run.nats_journal import Connection, connect, ensure_streams
from malha.testing.grep import files_with, traces
from malha.testing.nats_cluster import NODES, NatsCluster, running_cluster
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.shop import until

NODES_LOG = "$SYS/_js_/"
"""Where a node keeps what the nodes told each other, until it takes stock of its streams."""

ANA = Principal(tenant="acme", subject="ana")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[NatsCluster]:
    with running_cluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture
async def connection(cluster: NatsCluster) -> AsyncIterator[Connection]:
    opened = await connect(cluster.url, name="tests", timeout=20)
    await ensure_streams(opened, replicas=NODES, max_bytes=256 << 20, patience=60)
    yield opened
    await opened.close()


def nodes_with(needles: set[bytes], folder: Path) -> set[str]:
    return {path.partition("/")[0] for path in files_with(needles, folder)}


async def test_no_byte_of_an_erased_run_is_left_in_the_streams_of_any_of_three_nodes(
    planner: PlannerOnNats, cluster: NatsCluster, tmp_path: Path
) -> None:
    planner.chores = [planner.eraser()]
    items = await planner.finished(12)
    erased, kept = items[3:9], [*items[:3], *items[9:]]
    needles: set[bytes] = set()
    for item in erased:
        needles |= traces(await planner.journal.load(item.tenant, item.run_id))

    async def everywhere() -> bool:  # two nodes are enough to store a record; the third comes after
        return nodes_with(needles, tmp_path) >= set(cluster.nodes)

    async def only_in_logs() -> bool:
        return all(NODES_LOG in name for name in files_with(needles, tmp_path))

    await until(everywhere)
    requests = planner.erase_requests()
    for item in erased:
        await requests.erase_run(ANA, item.run_id)
    await until(only_in_logs)
    for item in erased:
        assert await planner.stream_journal.load(item.tenant, item.run_id) == []
    for item in kept:
        assert (await planner.state(item)).final


async def test_a_node_that_was_away_while_a_run_was_erased_keeps_no_byte_of_it_either(
    planner: PlannerOnNats, connection: Connection, cluster: NatsCluster, tmp_path: Path
) -> None:
    planner.chores = [planner.eraser()]
    erased, kept = await planner.finished(2)
    needles = traces(await planner.journal.load(erased.tenant, erased.run_id))

    async def everywhere() -> bool:
        return nodes_with(needles, tmp_path) >= set(cluster.nodes)

    async def only_in_logs() -> bool:
        return all(NODES_LOG in name for name in files_with(needles, tmp_path))

    await until(everywhere)
    leader = await cluster.leader(connection)
    away = next(node for node in cluster.nodes.values() if node is not leader)
    away.kill()
    await planner.erase_requests().erase_run(ANA, erased.run_id)
    assert nodes_with(needles, tmp_path) >= {away.program.name}
    away.start()
    await until(only_in_logs, seconds=30)
    assert (await planner.state(kept)).final
