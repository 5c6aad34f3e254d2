"""A reservation that its run forgot is settled at its ceiling once the run is over."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.cost.v1.cost_service_pb2 import AuthorizeRequest, AuthorizeResponse, ModelCall, Reservation
from malha.api.cost.v1.cost_service_pb2_grpc import CostServiceStub
from malha.stack.secrets import TENANT, Secrets
from malha.testing.mesh import Mesh
from malha.wire import Identity, Peer, acting_for


async def test_what_a_run_that_is_over_still_holds_is_paid_at_its_ceiling(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path / "mesh", {"MALHA_PLANNER_SWEEP_AFTER_SECONDS": "1"})
    async with mesh, mesh.client() as client, asyncio.timeout(60):
        run = await client.ask("What is 17 * 23?")
        held = (await reserved(mesh, run.run_id)).reserved[0].amount_microusd
        assert held > 0
        ledger = mesh.state / "mesh" / "cost" / "cost.db"
        query = "SELECT kind, spent FROM entries WHERE run_id = ? AND provider = 'openai' AND stage = 1"
        with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as reader:
            while not (rows := reader.execute(query, (run.run_id,)).fetchall()):  # noqa: ASYNC110  # another process's
                await asyncio.sleep(0.1)
        assert rows == [("provisional", held)]


async def reserved(mesh: Mesh, run_id: str) -> AuthorizeResponse:
    """Money for a call of the run that no record tells of."""
    state = mesh.state / "mesh"
    port = (state / "cost" / "cost.port").read_text().strip()
    secrets = Secrets(state / "secrets").of("planner")
    call = ModelCall(provider="openai", model="gpt-4o-mini", input_tokens=1000)
    asked = Reservation(key=f"{TENANT}/{run_id}/99/1/1", run_id=run_id, run_limit_microusd=10**6, model=call)
    peer = Peer("cost", f"127.0.0.1:{port}", identity=Identity.load(secrets, "planner"))
    try:
        with acting_for(Principal(tenant=TENANT), timeout=10):
            stub = CostServiceStub(peer.channel)
            return await peer.call(stub.Authorize, AuthorizeRequest(reserve=[asked]), timeout=10)
    finally:
        await peer.close()
