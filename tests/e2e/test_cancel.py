"""A cancellation reaches what is under way in another process, at once, and whoever waits is told."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any

import grpc.aio
import pytest

from malha.api.gateway.v1.admin_service_pb2 import RevokeApiKeyRequest, RevokeApiKeyResponse
from malha.api.gateway.v1.run_pb2 import RUN_STATUS_CANCELLED, RunEvent
from malha.client import Client
from malha.testing.mesh import Mesh, bearer
from malha.testing.scripted_agents import INPUT_MICROUSD, OUTPUT_MICROUSD
from malha.wire import codec

SECONDS = 60.0
ASKED = {"prompt_tokens": 100, "completion_tokens": 20}
ASKED_MICROUSD = 100 * INPUT_MICROUSD + 20 * OUTPUT_MICROUSD


async def test_cancelled_in_mid_model_call_the_provider_is_hung_up_on_and_the_ceiling_is_paid(
    mesh: Mesh, around: Any
) -> None:
    question = "Cancel me in the middle of a thought."
    around.models.add({"user": question, "text": "never", "latency_ms": 60_000})
    before = around.models.hung_up
    await cancelled(mesh, "thinker", "scripted", question, lambda: asked(around, question))
    spent, held = balance(mesh, "thinker")
    assert spent > 0, "the provider may bill what it did"
    assert held == 0
    async with asyncio.timeout(SECONDS):
        while around.models.hung_up == before:  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.01)


async def test_cancelled_in_mid_tool_call_the_tool_is_stopped_and_what_only_read_is_given_back(
    mesh: Mesh, around: Any
) -> None:
    question = "Cancel me while you ask for prices."
    call = {"name": "gpu_prices", "arguments": {"gpu": "H100"}}
    around.models.add({"user": question, "turn": 0, "tool_calls": [call], "usage": ASKED})
    prices = around.prices
    before, hung_up = prices.asked.copy(), prices.hung_up
    prices.hanging = set(prices.urls) - prices.failing

    def under_way() -> bool:
        return all(prices.asked[name] > before[name] for name in prices.hanging)

    try:
        await cancelled(mesh, "shopper", "comparing", question, under_way)
        async with asyncio.timeout(SECONDS):
            while prices.hung_up < hung_up + len(prices.hanging):  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.01)
    finally:
        prices.hanging = set()
    spent, held = balance(mesh, "shopper")
    assert spent == ASKED_MICROUSD, "the model's first call, and nothing for the tool"
    assert held == 0


async def test_a_revoked_key_takes_its_open_runs_with_it_and_leaves_those_of_others(
    mesh: Mesh, around: Any
) -> None:
    question = "Think for as long as the key lasts."
    around.models.add({"user": question, "text": "never", "latency_ms": 60_000})
    key, other = await mesh.key_of("revoked", "runs"), await mesh.key_of("revoked", "runs")
    async with mesh.client(key) as holder, mesh.client(other) as heir, asyncio.timeout(SECONDS):
        run = await holder.create_run(question, agent="scripted")
        kept = await heir.create_run(question, agent="scripted")
        assert (await revoke(mesh, key.split("_")[1])).runs_cancelled == 1
        last = (await streamed(heir, run.run_id))[-1].finished
        assert last.status == RUN_STATUS_CANCELLED
        assert last.error.metadata["by"] == "developer"
        assert "was revoked" in last.error.metadata["reason"]
        assert (await heir.run(kept.run_id)).status != RUN_STATUS_CANCELLED
        await heir.cancel(kept.run_id)


async def test_a_key_that_does_not_exist_is_not_found(mesh: Mesh) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await revoke(mesh, "unheard-of")
    assert codec.from_rpc(raised.value, "gateway").reason_name == "KEY_NOT_FOUND"


async def cancelled(
    mesh: Mesh, tenant: str, agent: str, question: str, under_way: Callable[[], bool]
) -> None:
    """Start a run, wait for its end and stream it, and cancel it once it is in the middle of a call."""
    async with mesh.client(await mesh.key_of(tenant, "runs")) as client, asyncio.timeout(SECONDS):
        waiting = asyncio.create_task(client.ask(question, agent=agent))
        while not under_way():  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.01)
        while not (runs := await client.runs("open = true")):  # noqa: ASYNC110 - the list follows the journal
            await asyncio.sleep(0.01)
        (run,) = runs
        streaming = asyncio.create_task(streamed(client, run.run_id))
        await client.cancel(run.run_id, "changed my mind")
        ended, events = await waiting, await streaming
    assert ended.status == RUN_STATUS_CANCELLED
    assert ended.error.reason == "CANCELLED"
    assert dict(ended.error.metadata) == {"by": "tester", "reason": "changed my mind"}
    request = next(event for event in events if event.HasField("cancel_requested"))
    assert (request.cancel_requested.by, request.cancel_requested.reason) == ("tester", "changed my mind")
    assert events[-1].finished.error.metadata["reason"] == "changed my mind"
    took = events[-1].time.ToDatetime() - request.time.ToDatetime()
    print(f"\n{agent}: over {took / timedelta(milliseconds=1):.0f} ms later")  # noqa: T201 - for the record
    assert took < timedelta(seconds=1)


def asked(around: Any, question: str) -> bool:
    """Whether the model was asked this."""
    return any(received.body["messages"][-1]["content"] == question for received in around.models.requests)


async def streamed(client: Client, run_id: str) -> list[RunEvent]:
    return [event async for event in client.events(run_id)]


async def revoke(mesh: Mesh, key_id: str) -> RevokeApiKeyResponse:
    async with mesh.client() as client:
        request = RevokeApiKeyRequest(key_id=key_id)
        return await client.admin.RevokeApiKey(request, metadata=bearer(mesh.api_key), timeout=30)


def balance(mesh: Mesh, tenant: str) -> tuple[int, int]:
    """Micro-dollars that a tenant spent, and those still held, by its ledger."""
    path = mesh.state / "mesh" / "cost" / "cost.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
        query = "SELECT sum(spent), sum(reserved) FROM entries WHERE tenant = ?"
        spent, held = ledger.execute(query, (tenant,)).fetchone()
    return spent, held
