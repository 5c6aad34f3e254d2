"""Deltas over a real broker: heard by whoever listens, lost where nobody can hear, and never waited for."""

from __future__ import annotations

import asyncio
from typing import Any

from malha.api.run.v1.delta_pb2 import Delta
from malha.run import run_id_for
from malha.run.nats_journal import Connection, NatsDeltas, connect
from malha.telemetry import metrics
from malha.testing.servers import RunningServer


def delta(run_id: str, offset: int = 0, tenant: str = "acme") -> Delta:
    return Delta(tenant=tenant, run_id=run_id, key="k", offset=offset)


def outcomes(outcome: str) -> float:
    return float(metrics.DELTAS.labels(outcome)._value.get())


async def test_a_listener_hears_the_deltas_of_its_run_in_order_and_no_others(connection: Connection) -> None:
    deltas, run_id = NatsDeltas(connection), run_id_for("acme", None)
    async with asyncio.timeout(10), deltas.listen("acme", run_id) as heard:
        await connection.nc.flush()
        await deltas.publish(delta(run_id_for("acme", None)))
        await deltas.publish(delta(run_id, tenant="other"))
        for offset in range(5):
            await deltas.publish(delta(run_id, offset))
        assert [(await anext(heard)).offset for _ in range(5)] == list(range(5))


async def test_who_listens_too_slowly_loses_the_older_ones(connection: Connection) -> None:
    deltas, run_id = NatsDeltas(connection), run_id_for("acme", None)
    async with asyncio.timeout(10), deltas.listen("acme", run_id) as heard:
        await connection.nc.flush()
        for offset in range(2000):
            await deltas.publish(delta(run_id, offset))
            if offset % 100 == 0:
                await connection.nc.flush()  # what is on its way arrives
        await connection.nc.flush()
        offsets = [0]
        while offsets[-1] != 1999:
            offsets.append((await anext(heard)).offset)
    assert offsets == sorted(offsets)
    assert len(offsets) < 2000


async def test_where_the_broker_is_away_a_delta_is_dropped_at_once(own_server: RunningServer) -> None:
    connection = await connect(own_server.url, name="deltas")
    deltas, run_id = NatsDeltas(connection), run_id_for("acme", None)
    await asyncio.to_thread(own_server.stop)
    while connection.connected:  # noqa: ASYNC110 - nats-py tells of a loss by its state alone
        await asyncio.sleep(0)
    before = outcomes("dropped")
    async with asyncio.timeout(1):
        await deltas.publish(delta(run_id))
    assert outcomes("dropped") == before + 1
    assert not connection.nc.pending_data_size, "nothing is kept in front of what matters"
    own_server.start()
    async with asyncio.timeout(10), deltas.listen("acme", run_id) as heard:
        await connection.until_connected(10)
        hearing: asyncio.Task[Any] = asyncio.ensure_future(anext(heard))
        while not hearing.done():  # a listener is there again by itself
            await deltas.publish(delta(run_id, 7))
            await asyncio.wait([hearing], timeout=0.05)
    assert hearing.result().offset == 7
    await connection.close()


async def test_a_listener_that_leaves_leaves_nothing_behind(connection: Connection) -> None:
    before = len(connection.nc._subs)
    async with NatsDeltas(connection).listen("acme", run_id_for("acme", None)):
        assert len(connection.nc._subs) == before + 1
    assert len(connection.nc._subs) == before
