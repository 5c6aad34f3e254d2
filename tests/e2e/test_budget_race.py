"""Five hundred runs at once on a tenant's budget for ten: money is a limit, whoever comes first."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any

import pytest

from malha.api.cost.v1.budget_pb2 import Budget, Scope, Window
from malha.api.gateway.v1.admin_service_pb2 import SetBudgetRequest
from malha.api.gateway.v1.run_pb2 import RUN_STATUS_SUCCEEDED, Run
from malha.client import Client
from malha.errors import MalhaError
from malha.testing.mesh import Mesh, bearer

RUNS = 500
PAID_FOR = 10
ENOUGH = 9
SECONDS = 60.0

# What the model says it used, a little below what is held for each call: a call's ceiling must fit into
# what two runs cost, or the budget's last part could not be used by anyone.
SCRIPTS: dict[str, list[dict[str, Any]]] = {
    "answered at once": [
        {"text": "Ten.", "usage": {"prompt_tokens": 800, "completion_tokens": 20}},
    ],
    "answered after a tool": [
        {
            "turn": 0,
            "tool_calls": [{"name": "calculator", "arguments": {"expression": "5 * 2"}}],
            "usage": {"prompt_tokens": 800, "completion_tokens": 20},
        },
        {"turn": 1, "text": "Ten.", "usage": {"prompt_tokens": 900, "completion_tokens": 20}},
    ],
}


@pytest.mark.parametrize("script", SCRIPTS)
async def test_no_crowd_spends_more_than_the_budget_and_what_it_pays_for_is_answered(
    mesh: Mesh, around: Any, script: str
) -> None:
    question = f"What is five times two, {script}?"
    around.models.add(*({"user": script, **rule} for rule in SCRIPTS[script]))
    tenant = "crowd-" + script.replace(" ", "-")

    async with mesh.client(await mesh.key_of(f"{tenant}-one")) as client:
        one = await client.ask(question, agent="frugal")
    price = one.cost.amount_microusd
    assert price > 0
    ceiling = most_held(mesh, one.run_id) * len(SCRIPTS[script])
    assert price <= ceiling <= 2 * price, "the script does not fit what is held"

    key = await mesh.key_of(tenant, "runs", "admin")
    limit = PAID_FOR * price
    async with mesh.client(key) as client, asyncio.timeout(SECONDS):
        budget = Budget(scope=Scope.SCOPE_TENANT, window=Window.WINDOW_TOTAL, limit_microusd=limit)
        await client.admin.SetBudget(SetBudgetRequest(budget=budget), metadata=bearer(key), timeout=10)
        outcomes = Counter(await asyncio.gather(*(outcome(client, question) for _ in range(RUNS))))

    spent, held = balance(mesh, tenant)
    print(f"\n{script}: {dict(outcomes)}, {spent} of {limit} micro-dollars spent")  # noqa: T201 - for the record
    assert spent <= limit
    assert held == 0, "money is held for ever"
    assert outcomes.total() == RUNS
    assert set(outcomes) == {"answered", "BUDGET_EXCEEDED"}
    assert outcomes["answered"] >= ENOUGH


async def outcome(client: Client, question: str) -> str:
    try:
        run: Run = await client.ask(question, agent="frugal")
    except MalhaError as error:
        return error.reason_name if error.quota else f"{error.reason_name}: {error.message}"
    return "answered" if run.status == RUN_STATUS_SUCCEEDED else run.error.reason


def most_held(mesh: Mesh, run_id: str) -> int:
    """Micro-dollars reserved for the dearest call of a run."""
    return ask(mesh, "SELECT max(reserved) FROM entries WHERE run_id = ? AND stage = 0", run_id)[0]


def balance(mesh: Mesh, tenant: str) -> tuple[int, int]:
    """Micro-dollars that a tenant spent, and those still held, by its ledger."""
    return ask(mesh, "SELECT sum(spent), sum(reserved) FROM entries WHERE tenant = ?", tenant)


def ask(mesh: Mesh, query: str, value: str) -> tuple[int, ...]:
    path = mesh.state / "mesh" / "cost" / "cost.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
        row: tuple[int, ...] = ledger.execute(query, (value,)).fetchone()
        return row
