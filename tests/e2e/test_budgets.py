"""Budgets as an administrator meets them, through the edge: set, kept, told, adjusted."""

from __future__ import annotations

from typing import Any

import pytest

from malha.api.cost.v1.budget_pb2 import Budget, BudgetPolicy, Level, Scope, Window
from malha.api.cost.v1.usage_pb2 import UsageGroup
from malha.api.gateway.v1 import admin_service_pb2 as pb
from malha.client import Client
from malha.errors import ErrorReason, MalhaError
from malha.testing.mesh import Mesh, bearer

DAY = Window.WINDOW_DAY


async def test_an_administrator_sets_budgets_says_how_they_are_kept_and_sees_what_was_spent(
    mesh: Mesh,
) -> None:
    key = await mesh.key_of("thrifty", "runs", "admin")
    said: dict[str, Any] = {"metadata": bearer(key), "timeout": 10}
    async with mesh.client(key) as client:
        policy = BudgetPolicy(time_zone="America/Sao_Paulo", brake_percent=90)
        answer = await client.admin.SetBudgetPolicy(pb.SetBudgetPolicyRequest(policy=policy), **said)
        assert (answer.policy.brake_percent, answer.policy.warn_percent) == (90, 80)
        budget = Budget(
            scope=Scope.SCOPE_USER,
            scope_id="tester",
            window=DAY,
            rolling=True,
            limit_microusd=7,
        )
        await client.admin.SetBudget(pb.SetBudgetRequest(budget=budget), **said)
        standing = await client.admin.GetBudget(pb.GetBudgetRequest(), **said)
        assert standing.policy == answer.policy
        assert budget in [status.budget for status in standing.statuses]
        assert {status.level for status in standing.statuses} == {Level.LEVEL_OPEN}
        run = await client.ask("What is 17 * 23?")
        [today] = await client.usage()
        assert (today.spent_microusd, today.used_tokens) == (
            0,
            run.usage.input_tokens + run.usage.output_tokens,
        )
        assert today.used_tokens > 0
        [model] = await client.usage_by(UsageGroup.USAGE_GROUP_MODEL)
        assert (model.name, model.input_tokens + model.output_tokens) == (
            "offline/extractive",
            today.used_tokens,
        )
        assert [row.name for row in await client.usage_by(UsageGroup.USAGE_GROUP_TENANT)] == ["thrifty"]
        report = await client.daily_report()
        assert (report.day, report.runs) == (today.day, 1)
        assert [cost.component for cost in report.query_costs] == ["", "model", "tool"]
        records = [record async for page in client.metered_usage() for record in page.records]
        assert {record.run_id for record in records} == {run.run_id}
        assert sum(record.input_tokens for record in records) == model.input_tokens
        await refused(client, "SCOPE_MISSING", policy=BudgetPolicy(organisation="acme"))
        await refused(client, "FIELD_INVALID", policy=BudgetPolicy(time_zone="Mars/Olympus"))
        await refused(
            client,
            "FIELD_INVALID",
            budget=Budget(scope=Scope.SCOPE_TENANT, window=DAY, currency="EUR"),
        )
        await refused(client, "FIELD_INVALID", budget=Budget(scope=99, window=DAY))  # type: ignore[arg-type]  # no such scope
        await refused(client, "SCOPE_MISSING", budget=Budget(scope=Scope.SCOPE_ORGANISATION, window=DAY))


async def refused(
    client: Client, reason: str, *, policy: BudgetPolicy | None = None, budget: Budget | None = None
) -> None:
    """Ask for it and be refused for that reason."""
    asked = (
        client._call(client.admin.SetBudgetPolicy, pb.SetBudgetPolicyRequest(policy=policy))
        if policy is not None
        else client._call(client.admin.SetBudget, pb.SetBudgetRequest(budget=budget))
    )
    with pytest.raises(MalhaError) as refusal:
        await asked
    assert refusal.value.reason_name == reason


async def test_an_administrator_sees_what_a_model_costs_and_who_says_so(mesh: Mesh) -> None:
    async with mesh.client(await mesh.key_of("thrifty", "runs", "admin")) as client:
        [quote] = await client.prices("openai/gpt-4o-mini", input_tokens=1_000_000, output_tokens=10)
        assert (quote.amount_microusd, quote.ceiling_microusd) == (150_006, 150_006)
        assert quote.price.row.startswith("openai/gpt-4o-mini@")
        assert quote.price.url.startswith("https://")
        assert len(await client.prices()) > 100
        with pytest.raises(MalhaError) as refusal:
            await client.prices("gpt-99")
        assert refusal.value.reason == ErrorReason.ERROR_REASON_PRICE_UNKNOWN
    async with mesh.client(await mesh.key_of("thrifty", "runs")) as client:
        with pytest.raises(MalhaError) as refusal:
            await client.prices()
        assert refusal.value.reason == ErrorReason.ERROR_REASON_SCOPE_MISSING


async def test_who_may_see_all_tenants_sees_all_and_no_page_begins_where_no_record_is(mesh: Mesh) -> None:
    for tenant in ("first", "second"):
        async with mesh.client(await mesh.key_of(tenant, "runs", "admin")) as client:
            await client.ask("What is 6 * 7?")
    async with mesh.client() as operator:
        names = [row.name for row in await operator.usage_by(UsageGroup.USAGE_GROUP_TENANT)]
    assert {"first", "second"} <= set(names)
    async with mesh.client(await mesh.key_of("first", "runs")) as client:
        for asked in (client.daily_report(), client.usage_by(UsageGroup.USAGE_GROUP_DAY)):
            with pytest.raises(MalhaError) as refusal:
                await asked
            assert refusal.value.reason == ErrorReason.ERROR_REASON_SCOPE_MISSING
    async with mesh.client(await mesh.key_of("first", "runs", "admin")) as client:
        with pytest.raises(MalhaError) as refusal:
            await anext(client.metered_usage(after=1_000))
        assert refusal.value.violations[0][0] == "after"


async def test_only_an_operator_moves_what_was_spent(mesh: Mesh) -> None:
    key = await mesh.key_of("thrifty", "runs", "admin")
    asked = pb.AdjustSpendingRequest(id="1", key="thrifty/r/1/1/1", amount_microusd=-5, reason="refund")
    async with mesh.client(key) as client, mesh.client() as operator:
        for who, reason in (
            (client, ErrorReason.ERROR_REASON_SCOPE_MISSING),
            (operator, ErrorReason.ERROR_REASON_RESERVATION_NOT_FOUND),
        ):
            with pytest.raises(MalhaError) as refusal:
                await who._call(who.admin.AdjustSpending, asked)
            assert refusal.value.reason == reason
