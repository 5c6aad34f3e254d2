"""NATS, Valkey or the gateway away: the mesh says so, loses nothing it acknowledged, recovers by itself."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from typing import Any

import aiohttp
import grpc.aio
import pytest
import pytest_asyncio

from malha.api.gateway.v1 import run_service_pb2, run_service_pb2_grpc
from malha.api.gateway.v1.run_pb2 import RUN_STATUS_SUCCEEDED, RunEvent
from malha.client import Client
from malha.testing.mesh import Mesh, bearer
from malha.testing.refusals import Refusal, of_call, of_response

pytestmark = pytest.mark.usefixtures("whole_again")

SLOW = "take your time"
ANSWER = "That took a while."
IN_FLIGHT = 12
LONGEST_WAIT = 14.0
"""Seconds within which a call is refused: an append looks for its answer for ten of them."""
PATIENCE = 30.0
"""Seconds until the mesh must be itself again."""


@pytest.fixture(autouse=True, scope="module")
def slow_model(around: Any) -> None:
    around.models.add({"user": SLOW, "text": ANSWER, "latency_ms": 1000})


@pytest_asyncio.fixture(loop_scope="session")
async def client(mesh: Mesh) -> AsyncIterator[Client]:
    async with mesh.client() as client:
        yield client


async def test_nats_away_is_said_and_the_acknowledged_runs_end(
    mesh: Mesh, rest: aiohttp.ClientSession, client: Client
) -> None:
    acknowledged = await asyncio.gather(*(accept(client) for _ in range(IN_FLIGHT)))
    with mesh.paused("nats"):
        assert (await health(rest)).metadata["dependency"] == "nats"
        for refusal in await refusals(mesh, rest, key="asked while nats was away"):
            assert_unavailable(refusal)
    await until_ready(rest)
    for run_id in acknowledged:
        await ends_well(client, run_id)
    # what was refused may be asked again: with its key it is one run, whatever became of the first try
    again = [await accept(client, key="asked while nats was away") for _ in range(2)]
    assert again[0] == again[1]
    await ends_well(client, again[0])


async def test_nats_killed_comes_back_with_all_it_acknowledged(
    mesh: Mesh, rest: aiohttp.ClientSession, client: Client
) -> None:
    acknowledged = await asyncio.gather(*(accept(client) for _ in range(IN_FLIGHT)))
    await mesh.kill("nats")
    await until_ready(rest)
    for run_id in acknowledged:
        await ends_well(client, run_id)
    await ends_well(client, await accept(client))


async def test_valkey_away_is_said_and_runs_go_on_meanwhile(
    mesh: Mesh, rest: aiohttp.ClientSession, client: Client
) -> None:
    acknowledged = await asyncio.gather(*(accept(client) for _ in range(IN_FLIGHT)))
    with mesh.paused("valkey"):
        assert (await health(rest)).metadata["dependency"] == "valkey"
        for refusal in await refusals(mesh, rest):
            assert_unavailable(refusal)
        for run_id in acknowledged:
            await ends_well(client, run_id)
    await until_ready(rest)
    await ends_well(client, await accept(client))


async def test_who_follows_a_run_while_the_gateway_is_killed_is_told_every_event_once(
    mesh: Mesh, client: Client
) -> None:
    run_id = await accept(client)
    told: list[RunEvent] = []
    async for event in client.events(run_id):
        if not told:
            await mesh.kill("gateway")
        told.append(event)
    assert told == [event async for event in client.events(run_id)]


async def test_a_guard_that_hangs_is_told_as_one_that_is_away(
    mesh: Mesh, rest: aiohttp.ClientSession, client: Client
) -> None:
    with mesh.paused("guard"):
        for refusal in await refusals(mesh, rest):
            assert_unavailable(refusal)
    await until_ready(rest)
    await ends_well(client, await accept(client))


async def test_valkey_killed_is_missed_for_a_moment(
    mesh: Mesh, rest: aiohttp.ClientSession, client: Client
) -> None:
    acknowledged = await accept(client)
    await mesh.kill("valkey")
    await until_ready(rest)
    await ends_well(client, acknowledged)
    await ends_well(client, await accept(client))


async def test_every_process_killed_at_once_loses_nothing_that_was_acknowledged(
    mesh: Mesh, rest: aiohttp.ClientSession, client: Client
) -> None:
    acknowledged = await asyncio.gather(*(accept(client) for _ in range(IN_FLIGHT)))
    await mesh.kill(*mesh.pids())
    await until_ready(rest)
    for run_id in acknowledged:
        await ends_well(client, run_id)
    path = mesh.state / "mesh" / "cost" / "cost.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
        query = "SELECT sum(reserved) FROM entries WHERE run_id = ?"
        held = [ledger.execute(query, (run_id,)).fetchone()[0] for run_id in acknowledged]
    assert not any(held), "money is held for ever"


async def accept(client: Client, key: str = "") -> str:
    return (await client.create_run(SLOW, agent="scripted", idempotency_key=key)).run_id


async def ends_well(client: Client, run_id: str) -> None:
    async with asyncio.timeout(PATIENCE):
        *_, last = [event async for event in client.events(run_id)]
    assert last.finished.status == RUN_STATUS_SUCCEEDED, last.finished.error
    assert last.finished.answer == ANSWER


async def health(rest: aiohttp.ClientSession) -> Refusal:
    """What /healthz says once it knows that something is away."""
    deadline = time.monotonic() + 5
    while True:
        async with rest.get("/healthz") as response:
            if response.status != 200:
                refusal = await of_response(response)
                assert_unavailable(refusal)
                return refusal
        assert time.monotonic() < deadline, "nobody noticed"


async def until_ready(rest: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(aiohttp.ClientConnectionError):
                async with rest.get("/healthz") as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.05)  # asking without a pause would only keep it from recovering


async def refusals(mesh: Mesh, rest: aiohttp.ClientSession, key: str = "") -> list[Refusal]:
    """What a new run gets, over both ways in, within the time a caller will wait."""
    asked: dict[str, Any] = {"input": SLOW, "agent": "scripted", "idempotency_key": key}

    async def by_rest() -> Refusal:
        async with rest.post("/v1/runs", json=asked) as response:
            return await of_response(response)

    async with asyncio.timeout(LONGEST_WAIT), grpc.aio.insecure_channel(mesh.grpc_target) as channel:
        runs = run_service_pb2_grpc.RunServiceStub(channel)
        request = run_service_pb2.CreateRunRequest(**asked)
        call = runs.CreateRun(request, metadata=bearer(mesh.api_key), timeout=LONGEST_WAIT)
        return list(await asyncio.gather(by_rest(), of_call(call)))


def assert_unavailable(refusal: Refusal) -> None:
    assert (refusal.status.code, refusal.reason) == (14, "DEPENDENCY_UNAVAILABLE")
    assert refusal.http in (0, 503)
    assert refusal.retry_seconds > 0
    assert int(refusal.retry_after) >= 1
