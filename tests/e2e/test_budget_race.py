"""Five hundred runs at once on a tenant's budget for ten: money is a limit, whoever comes first."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any

import pytest

from malha.api.cost.v1.budget_pb2 import Budget, Scope, Window
from malha.api.gateway.v1.admin_service_pb2 import SetBudgetRequest
from malha.api.gateway.v1.run_pb2 import RUN_STATUS_SUCCEEDED
from malha.client import Client
from malha.errors import MalhaError
from malha.testing.mesh import Mesh, bearer

RUNS = 500
PAID_FOR = 10
ENOUGH = 9
SECONDS = 60.0

# What the model says it used, a little below what is held for each call: a call's ceiling must fit into
# what two runs cost, or the budget's last part could not be used by anyone.
USAGE = {"prompt_tokens": 800, "completion_tokens": 20}
SCRIPTS: dict[str, list[dict[str, Any]]] = {
    "answered at once": [{"text": "Ten.", "usage": USAGE}],
    "answered after a tool": [
        {
            "turn": 0,
            "tool_calls": [{"name": "calculator", "arguments": {"expression": "5 * 2"}}],
            "usage": USAGE,
        },
        {"turn": 1, "text": "Ten.", "usage": {**USAGE, "prompt_tokens": 900}},
    ],
    "answered slowly": [{"text": "Ten.", "usage": USAGE, "latency_ms": 500}],
}


@pytest.mark.parametrize("script", SCRIPTS)
async def test_no_crowd_spends_more_than_the_budget_and_what_it_pays_for_is_answered(
    mesh: Mesh, around: Any, script: str
) -> None:
    question, tenant, limit = await a_budget_for_ten(mesh, around, script)
    async with mesh.client(await paying_key(mesh, tenant, limit)) as client, asyncio.timeout(SECONDS):
        outcomes = Counter(await asyncio.gather(*(outcome(client, question) for _ in range(RUNS))))
    spent, held = balance(mesh, tenant)
    print(f"\n{script}: {dict(outcomes)}, {spent} of {limit} micro-dollars spent")  # noqa: T201 - for the record
    assert spent <= limit
    assert held == 0, "money is held for ever"
    assert outcomes.total() == RUNS
    assert set(outcomes) == {"answered", "BUDGET_EXCEEDED"}
    assert outcomes["answered"] >= ENOUGH


@pytest.mark.usefixtures("whole_again")
async def test_neither_crashes_nor_callers_who_hang_up_make_room_for_more(mesh: Mesh, around: Any) -> None:
    question, tenant, limit = await a_budget_for_ten(mesh, around, "answered slowly", "through it all")
    async with mesh.client(await paying_key(mesh, tenant, limit)) as client, asyncio.timeout(SECONDS):
        before = len(around.models.requests)
        calls = [asyncio.create_task(outcome(client, question)) for _ in range(RUNS)]
        while len(around.models.requests) == before:  # noqa: ASYNC110  # it happens in other processes
            await asyncio.sleep(0.01)
        for call in random.sample(calls, RUNS // 2):
            call.cancel()
        await mesh.kill("cost", "planner")  # while calls are paid for and not yet settled
        await asyncio.gather(*calls, return_exceptions=True)
        # in this order, or one that starts in between would be overlooked
        while await client.runs('status = "QUEUED"') or await client.runs('status = "RUNNING"'):  # noqa: ASYNC110  # likewise
            await asyncio.sleep(0.2)
        ended = Counter(run.error.reason or "answered" for run in await client.runs(limit=100))
    spent, held = balance(mesh, tenant)
    print(f"\nin trouble: {dict(ended)}, {spent} of {limit} micro-dollars spent")  # noqa: T201 - for the record
    assert 0 < spent <= limit
    assert held == 0, "money is held for ever"
    assert set(ended) <= {"answered", "BUDGET_EXCEEDED"}


async def a_budget_for_ten(mesh: Mesh, around: Any, script: str, more: str = "") -> tuple[str, str, int]:
    """The question that the script answers, a tenant's name, and ten times what a run costs."""
    question = f"What is five times two, {script} {more}?"
    tenant = "crowd-" + f"{script} {more}".strip().replace(" ", "-")
    around.models.add(*({"user": question.replace("?", "."), **rule} for rule in SCRIPTS[script]))
    async with mesh.client(await mesh.key_of(f"{tenant}-one")) as client:
        run = await client.ask(question, agent="frugal")
    price = run.cost.amount_microusd
    ceiling = dearest_call(mesh, run.run_id) * len(SCRIPTS[script])
    assert 0 < price <= ceiling <= 2 * price, "the script does not fit what is held"
    return question, tenant, PAID_FOR * price


async def paying_key(mesh: Mesh, tenant: str, limit: int) -> str:
    """A key of the tenant, once its budget is set."""
    key = await mesh.key_of(tenant, "runs", "admin")
    budget = Budget(scope=Scope.SCOPE_TENANT, window=Window.WINDOW_TOTAL, limit_microusd=limit)
    async with mesh.client(key) as client:
        await client.admin.SetBudget(SetBudgetRequest(budget=budget), metadata=bearer(key), timeout=10)
    return key


async def outcome(client: Client, question: str) -> str:
    try:
        run = await client.ask(question, agent="frugal")
    except MalhaError as error:
        return error.reason_name if error.quota else f"{error.reason_name}: {error.message}"
    return "answered" if run.status == RUN_STATUS_SUCCEEDED else run.error.reason


def dearest_call(mesh: Mesh, run_id: str) -> int:
    """Micro-dollars reserved for the dearest call of a run."""
    return in_ledger(mesh, "SELECT max(reserved) FROM entries WHERE run_id = ? AND stage = 0", run_id)[0]


def balance(mesh: Mesh, tenant: str) -> tuple[int, ...]:
    """Micro-dollars that a tenant spent, and those still held, by its ledger."""
    return in_ledger(mesh, "SELECT sum(spent), sum(reserved) FROM entries WHERE tenant = ?", tenant)


def in_ledger(mesh: Mesh, query: str, value: str) -> tuple[int, ...]:
    path = mesh.state / "mesh" / "cost" / "cost.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
        row: tuple[int, ...] = ledger.execute(query, (value,)).fetchone()
        return row
