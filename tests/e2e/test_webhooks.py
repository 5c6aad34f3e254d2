"""A small budget is spent to its end, and its administrator's receiver hears of each mark once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from malha.api.cost.v1.budget_pb2 import Budget, BudgetPolicy, Scope, Window
from malha.api.gateway.v1 import run_pb2
from malha.api.gateway.v1.admin_service_pb2 import SetBudgetPolicyRequest, SetBudgetRequest
from malha.errors import MalhaError
from malha.testing import scripted_agents
from malha.testing.mesh import Mesh
from malha.testing.model_server import ModelServer
from malha.testing.receivers import Receiver

TENANT = "spender"
USAGE = {"prompt_tokens": 300, "completion_tokens": 20}
"""A little below what is held for a call: where one more fits nowhere, the brake has come before."""
RUN_MICROUSD = 300 * scripted_agents.INPUT_MICROUSD + 20 * scripted_agents.OUTPUT_MICROUSD
RUNS = 19
LIMIT = 20 * RUN_MICROUSD
WITHIN = 60.0


async def test_warning_brake_and_stop_arrive_once_each_whoever_fails_or_dies_meanwhile(
    tmp_path: Path,
) -> None:
    async with ModelServer({"rules": [{"text": "Done.", "usage": USAGE}]}) as models, Receiver() as receiver:
        environment = {
            **scripted_agents.settings(
                tmp_path / "scripted", models.base_url, {"terse": {"limits": {"max_output_tokens": 20}}}
            ),
            "MALHA_GATEWAY_WEBHOOK_NETWORKS": '["127.0.0.0/8"]',
            "MALHA_GATEWAY_WEBHOOK_RETRY_SECONDS": "0.5",
        }
        async with Mesh(tmp_path / "mesh", environment) as mesh, asyncio.timeout(WITHIN):
            await spend_to_the_end(mesh, receiver)


async def spend_to_the_end(mesh: Mesh, receiver: Receiver) -> None:
    key = await mesh.key_of(TENANT, "runs", "admin")
    async with mesh.client(key) as client:
        budget = Budget(scope=Scope.SCOPE_TENANT, window=Window.WINDOW_TOTAL, limit_microusd=LIMIT)
        await client._call(client.admin.SetBudget, SetBudgetRequest(budget=budget))
        _, receiver.secret = await client.add_webhook(receiver.url, ["alert.*"])
        receiver.answers = [503] * 1000
        for number in range(RUNS):
            run = await client.ask(f"Number {number}", agent="terse")
            assert (run.status, run.cost.amount_microusd) == (run_pb2.RUN_STATUS_SUCCEEDED, RUN_MICROUSD)
            if number == 16:
                await receiver.until_refused(2)
                await mesh.kill("gateway")
        receiver.answers = []
        await receiver.until_type("malha.alert.budget_braked")
        # without its brake, so that the ledger is asked for what does not fit, and not the gateway alone
        policy = SetBudgetPolicyRequest(policy=BudgetPolicy(brake_percent=100))
        await client._call(client.admin.SetBudgetPolicy, policy)
        assert await refused(client.ask("One too many", agent="terse")) == "BUDGET_EXCEEDED"
        told = await client.alerts()
        await receiver.until([alert.id for alert in told])

    heard = {event["type"]: event for event in receiver.taken}
    assert set(heard) == {f"malha.alert.budget_{mark}" for mark in ("warned", "braked", "stopped")}
    assert len(receiver.taken) == len(told) == 3
    assert receiver.forged == 0
    assert {event["id"] for event in receiver.taken} == {alert.id for alert in told}
    spent = {name: int(event["data"]["spent_microusd"]) for name, event in heard.items()}
    assert spent["malha.alert.budget_warned"] == 16 * RUN_MICROUSD
    assert spent["malha.alert.budget_braked"] == spent["malha.alert.budget_stopped"] == RUNS * RUN_MICROUSD
    assert {event["data"]["tenant"] for event in receiver.taken} == {TENANT}
    async with mesh.client() as other:
        assert not await other.alerts()


async def refused(asking: Any) -> str:
    """Why the answer does not come: at once, or by the run's end."""
    try:
        run = await asking
    except MalhaError as error:
        return error.reason_name
    return str(run.error.reason)


pytestmark = pytest.mark.timeout(120)
