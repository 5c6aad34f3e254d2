"""Too many calls, or too dear: the limit and the way back are named, and no model is called."""

from __future__ import annotations

from typing import Any

import pytest

from malha.api.common.v1.principal_pb2 import Tier
from malha.api.cost.v1.budget_pb2 import Budget, Scope, Window
from malha.api.gateway.v1 import admin_service_pb2, agent_service_pb2, run_service_pb2
from malha.api.gateway.v1.run_pb2 import RUN_STATUS_FAILED
from malha.testing.callers import Caller, Callers


async def test_over_the_limit_is_429_with_the_time_to_come_back(callers: Callers) -> None:
    poor = await callers.of("over-the-limit", tier=Tier.TIER_FREE)
    allowed = 0
    while allowed < 20:
        async with poor.rest.get("/v1/agents") as response:
            if response.status != 200:
                break
        allowed += 1
    assert allowed == 10
    refusal = await poor.refused("GET", "/v1/agents")
    assert (refusal.http, refusal.reason) == (429, "RATE_LIMITED")
    assert 1 <= int(refusal.retry_after) <= 7
    refusal = await poor.refused_call(poor.agents.ListAgents, agent_service_pb2.ListAgentsRequest())
    assert (refusal.status.code, refusal.reason) == (8, "RATE_LIMITED")
    assert 0 < refusal.retry_seconds <= 7
    another = await callers.of("below-the-limit", tier=Tier.TIER_FREE)
    assert await another.client.agents(), "one tenant's flood is not another's"


@pytest.mark.parametrize("limit", [0, 100], ids=["nothing left", "less than a call"])
async def test_over_budget_is_429_with_the_quota_and_no_model_is_called(
    callers: Callers, around: Any, limit: int
) -> None:
    question = f"over a budget of {limit}"
    around.models.add({"user": question, "text": "too dear"})
    poor = await callers.of(f"poor-{limit}", "runs", "admin")
    budget = Budget(scope=Scope.SCOPE_TENANT, window=Window.WINDOW_TOTAL, limit_microusd=limit)
    await poor.client.admin.SetBudget(
        admin_service_pb2.SetBudgetRequest(budget=budget), metadata=poor.metadata, timeout=10
    )
    asked: dict[str, Any] = {"input": question, "agent": "scripted"}
    refusal = await poor.refused("POST", "/v1/runs:wait", json=asked)
    assert (refusal.http, refusal.reason, refusal.quota) == (429, "BUDGET_EXCEEDED", "tenant")
    assert refusal.metadata["limit_microusd"] == str(limit)
    refusal = await poor.refused_call(poor.runs.RunAndWait, run_service_pb2.RunAndWaitRequest(**asked))
    assert (refusal.status.code, refusal.reason, refusal.quota) == (8, "BUDGET_EXCEEDED", "tenant")
    assert question not in [request.user for request in around.models.requests]


async def test_a_run_without_room_in_its_own_limit_fails_and_says_so(caller: Caller, around: Any) -> None:
    question = "over the run's own limit"
    around.models.add({"user": question, "text": "too dear"})
    limits = run_service_pb2.RunLimitsRequest(max_cost_microusd=1)
    run = await caller.client.create_run(question, agent="scripted", limits=limits)
    events = [event async for event in caller.client.events(run.run_id)]
    ended = events[-1].finished
    assert (ended.status, ended.error.reason) == (RUN_STATUS_FAILED, "BUDGET_EXCEEDED")
    assert ended.error.metadata["scope"] == "run"
    assert question not in [request.user for request in around.models.requests]
