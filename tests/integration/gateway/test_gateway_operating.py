"""What operators see of a gateway: parts that are away, dead runs, the archive, erasure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import grpc.aio
import pytest

from malha.api.gateway.v1 import admin_service_pb2 as admin_pb
from malha.api.gateway.v1 import health_service_pb2 as health_pb
from malha.api.gateway.v1 import operator_service_pb2 as operator_pb
from malha.api.gateway.v1 import run_service_pb2 as runs_pb
from malha.api.gateway.v1.run_pb2 import RunStatus
from malha.api.planner.v1.planner_service_pb2 import RunRow
from malha.api.run.v1.record_pb2 import FinalStatus
from malha.errors import MalhaError
from malha.run import pack
from malha.run.nats_journal import (
    RUNS,
    overwrite,
)
from malha.testing.door import Door, refusal
from malha.testing.servers import RunningServer
from malha.wire import codec


async def test_health_needs_no_key_and_names_what_is_away(door: Door) -> None:
    # a part that is asked for the first time may take longer than it is given
    await _until_answered(lambda: door.health.CheckHealth(health_pb.CheckHealthRequest()))
    assert (await door.health.CheckHealth(health_pb.CheckHealthRequest())).status == "ready"
    await door.peers.stop("guard")
    error = await _until_refused(lambda: door.health.CheckHealth(health_pb.CheckHealthRequest()))
    assert error.metadata["dependency"] == "guard"
    refused = await refusal(door.create())
    assert refused.reason_name == "DEPENDENCY_UNAVAILABLE"
    assert refused.retry_after


@pytest.mark.parametrize("server", ["nats_server", "valkey_server"])
async def test_without_nats_or_valkey_runs_are_refused_and_come_back_by_themselves(
    door: Door, server: str, request: pytest.FixtureRequest
) -> None:
    running_server: RunningServer = request.getfixturevalue(server)
    before = await door.create("still here?", idempotency_key="kept")
    running_server.kill()
    try:
        error = await _until_refused(lambda: door.create())
        assert error.reason_name == "DEPENDENCY_UNAVAILABLE"
        assert error.retry_after
        await _until_refused(lambda: door.health.CheckHealth(health_pb.CheckHealthRequest()))
    finally:
        running_server.start()
    await _until_answered(lambda: door.create())
    await _until_answered(lambda: door.health.CheckHealth(health_pb.CheckHealthRequest()))
    run = (await door.runs.GetRun(runs_pb.GetRunRequest(run_id=before), metadata=door.key)).run
    assert run.input == "still here?"


async def test_an_operator_lists_shows_replays_and_drops_the_dead_and_nobody_else_may(door: Door) -> None:
    run_id = await door.create("a secret question")
    worker = door.worker.of(run_id)
    await worker.claim()
    await worker.finish(FinalStatus.FINAL_STATUS_DEAD, "TOO_MANY_DELIVERIES", "given up")
    door.peers.planner.rows = [RunRow(run_id=run_id, status="DEAD", error_reason="TOO_MANY_DELIVERIES")]
    try:
        page = await door.operator.ListDeadRuns(
            operator_pb.ListDeadRunsRequest(tenant="dev"), metadata=door.key
        )
    finally:
        door.peers.planner.rows = []
    assert [(one.tenant, one.run.run_id) for one in page.dead_runs] == [("dev", run_id)]
    get = operator_pb.GetDeadRunRequest(tenant="dev", run_id=run_id)
    shown = (await door.operator.GetDeadRun(get, metadata=door.key)).dead_run
    assert len(shown.claims) == 1
    assert b"secret" not in shown.SerializeToString()

    replay = operator_pb.ReplayDeadRunRequest(tenant="dev", run_id=run_id, reason="mended")
    drop = operator_pb.DropDeadRunRequest(tenant="dev", run_id=run_id)
    user = await door.new_key(scopes=["runs", "admin"])
    for call in (
        door.operator.ListDeadRuns(operator_pb.ListDeadRunsRequest(), metadata=user),
        door.operator.GetDeadRun(get, metadata=user),
        door.operator.ReplayDeadRun(replay, metadata=user),
        door.operator.DropDeadRun(drop, metadata=user),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert codec.from_rpc(refused.value, "gateway").metadata["scope"] == "operator"

    opened = (await door.operator.ReplayDeadRun(replay, metadata=door.key)).dead_run
    assert opened.run.status == RunStatus.RUN_STATUS_QUEUED
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await door.operator.DropDeadRun(drop, metadata=door.key)
    assert codec.from_rpc(refused.value, "gateway").reason_name == "RUN_NOT_DEAD"
    again = door.worker.of(run_id)
    await again.play()
    request = runs_pb.StreamRunRequest(run_id=run_id)
    kinds = [one.event.WhichOneof("event") async for one in door.runs.StreamRun(request, metadata=door.key)]
    assert kinds[:4] == ["accepted", "claimed", "finished", "replayed"]
    assert kinds[-2:] == ["answered", "finished"]


async def _until_refused(call: Callable[[], Awaitable[object]]) -> MalhaError:
    async with asyncio.timeout(20):
        while True:
            try:
                await call()
            except grpc.aio.AioRpcError as error:
                return codec.from_rpc(error, "gateway")
            await asyncio.sleep(0.02)


async def _until_answered(call: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await call()
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.02)
            else:
                return


async def archived(door: Door, key: str) -> str:
    """A run that is over, moved to the archive as the planner moves it."""
    run_id = await door.create(idempotency_key=key)
    await door.worker.of(run_id).play()
    entries = await door.worker.journal.load("dev", run_id)
    door.peers.planner.archived["dev", run_id] = pack(entries)
    for entry in entries:
        await overwrite(door.worker.connection, RUNS, entry.sequence)
    return run_id


async def test_an_archived_run_is_read_page_by_page_and_its_key_finds_it(door: Door) -> None:
    run_id = await archived(door, "archived-1")
    found = (await door.runs.GetRun(runs_pb.GetRunRequest(run_id=run_id), metadata=door.key)).run
    assert (found.status, found.answer) == (RunStatus.RUN_STATUS_SUCCEEDED, "391")
    stream = door.runs.StreamRun(runs_pb.StreamRunRequest(run_id=run_id), metadata=door.key)
    kinds = [answer.event.WhichOneof("event") async for answer in stream]
    assert (kinds[0], kinds[-1]) == ("accepted", "finished")
    assert await door.create(idempotency_key="archived-1") == run_id
    over = await refusal(door.runs.CancelRun(runs_pb.CancelRunRequest(run_id=run_id), metadata=door.key))
    assert over.reason_name == "RUN_FINISHED"


async def test_without_the_planner_nobody_guesses_what_the_archive_holds(door: Door) -> None:
    """A key might be that of an archived run: only a run without a key, or with a known one, is accepted."""
    known = await door.create(idempotency_key="agents are known from now on")
    run_id = await archived(door, "archived-2")
    await door.peers.stop("planner")
    away = await refusal(
        door.runs.GetRun(runs_pb.GetRunRequest(run_id=run_id), metadata=door.key, timeout=10)
    )
    assert away.reason_name == "DEPENDENCY_UNAVAILABLE"
    unknown = await refusal(door.runs.CreateRun(request("never used"), metadata=door.key, timeout=10))
    assert unknown.reason_name == "DEPENDENCY_UNAVAILABLE"
    assert await door.create(idempotency_key="agents are known from now on") == known
    assert await door.create()


def request(key: str) -> runs_pb.CreateRunRequest:
    return runs_pb.CreateRunRequest(input="What is 17 * 23?", idempotency_key=key)


async def test_erasing_is_for_admins_and_a_tenants_for_operators(door: Door) -> None:
    run = admin_pb.EraseRunRequest(run_id="a" * 52)
    tenant = admin_pb.EraseTenantRequest(tenant="acme")
    plain = await door.new_key(scopes=["runs"])
    admin = await door.new_key(scopes=["runs", "admin"])
    assert (await refusal(door.admin.EraseRun(run, metadata=plain))).metadata["scope"] == "admin"
    assert (await refusal(door.admin.EraseTenant(tenant, metadata=admin))).metadata["scope"] == "operator"
    await door.admin.EraseRun(run, metadata=admin)
    assert (await door.admin.EraseTenant(tenant, metadata=door.key)).runs == 1
    assert door.peers.planner.erased == [("dev", "a" * 52), ("acme", "")]
