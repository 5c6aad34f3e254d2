"""Whom the gateway refuses, and what it tells them: over sockets, on real NATS and Valkey."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import grpc.aio
import pytest

from malha.api.common.v1.principal_pb2 import Tier
from malha.api.cost.v1.budget_pb2 import Budget, Scope, Window
from malha.api.gateway.v1 import admin_service_pb2 as admin_pb
from malha.api.gateway.v1 import agent_service_pb2 as agents_pb
from malha.api.gateway.v1 import event_stream_service_pb2 as events_pb
from malha.api.gateway.v1 import run_service_pb2 as runs_pb
from malha.api.gateway.v1 import webhook_service_pb2 as webhooks_pb
from malha.api.gateway.v1.webhook_service_pb2_grpc import WebhookServiceStub
from malha.stack.secrets import Secrets
from malha.telemetry import metrics
from malha.testing.door import Door, refusal, running
from malha.testing.peers import BLOCKED_WORD
from malha.testing.stubs import next_message
from malha.wire import codec


async def test_no_key_a_wrong_key_and_a_revoked_key_are_refused(door: Door) -> None:
    request = agents_pb.ListAgentsRequest()
    assert (await refusal(door.agents.ListAgents(request))).reason_name == "CREDENTIAL_MISSING"
    wrong = (("authorization", "Bearer mk_dev_" + "x" * 43),)
    error = await refusal(door.agents.ListAgents(request, metadata=wrong))
    assert error.reason_name == "CREDENTIAL_INVALID"
    made = await door.admin.CreateApiKey(admin_pb.CreateApiKeyRequest(subject="bo"), metadata=door.key)
    key = (("x-api-key", made.api_key),)
    await door.agents.ListAgents(request, metadata=key)
    await door.admin.RevokeApiKey(admin_pb.RevokeApiKeyRequest(key_id=made.key_id), metadata=door.key)
    assert (await refusal(door.agents.ListAgents(request, metadata=key))).reason_name == "CREDENTIAL_INVALID"


async def test_a_stream_ends_with_the_key_that_opened_it(door: Door) -> None:
    """The run is another key's, and goes on."""
    run_id = await door.create()
    made = await door.admin.CreateApiKey(admin_pb.CreateApiKeyRequest(subject="bo"), metadata=door.key)
    key = (("x-api-key", made.api_key),)
    typed = door.runs.StreamRun(runs_pb.StreamRunRequest(run_id=run_id), metadata=key)
    as_sse = door.events.StreamRunEvents(events_pb.StreamRunEventsRequest(run_id=run_id), metadata=key)
    assert (await anext(aiter(typed))).event.HasField("accepted")
    assert b"retry" in (await anext(aiter(as_sse))).data
    assert b"accepted" in (await anext(aiter(as_sse))).data
    await door.admin.RevokeApiKey(admin_pb.RevokeApiKeyRequest(key_id=made.key_id), metadata=door.key)
    await door.worker.of(run_id).play()
    assert (await refusal(anext(aiter(typed)))).reason_name == "CREDENTIAL_INVALID"
    told = await anext(aiter(as_sse))
    assert told.data.startswith(b"event: error")
    assert b"CREDENTIAL_INVALID" in told.data
    assert (await refusal(anext(aiter(as_sse)))).reason_name == "CREDENTIAL_INVALID"


async def test_a_key_without_the_scope_is_refused_by_its_name(door: Door) -> None:
    key = await door.new_key(scopes=["runs"])
    error = await refusal(door.admin.GetBudget(admin_pb.GetBudgetRequest(), metadata=key))
    assert (error.reason_name, error.metadata["scope"]) == ("SCOPE_MISSING", "admin")


async def test_another_tenant_s_run_is_not_found_by_any_call(door: Door) -> None:
    run_id = await door.create()
    key = await door.new_key(tenant="other", tier=Tier.TIER_PRO)
    for call in (
        door.runs.GetRun(runs_pb.GetRunRequest(run_id=run_id), metadata=key),
        door.runs.CancelRun(runs_pb.CancelRunRequest(run_id=run_id), metadata=key),
        door.drained(run_id, key),
    ):
        error = await refusal(call)
        assert error.reason_name == "RUN_NOT_FOUND"
        assert "dev" not in error.message


async def test_bad_input_is_answered_by_the_field_s_name(door: Door) -> None:
    for text in ("", " ", "x" * 2001):
        error = await refusal(door.create(text))
        assert error.reason_name == "FIELD_INVALID"
        assert error.violations[0][0] == "input"
    error = await refusal(door.create(agent="nobody"))
    assert error.reason_name == "AGENT_NOT_FOUND"
    assert error.metadata["agents"] == "default, prices"


async def test_a_blocked_input_names_stage_rule_and_policy(door: Door) -> None:
    error = await refusal(door.create(f"a {BLOCKED_WORD} please"))
    assert error.reason_name == "GUARD_BLOCKED"
    assert error.metadata == {"stage": "input", "rule": "injection.test", "policy": "test-1"}


async def test_an_idempotency_key_with_another_body_is_a_conflict(door: Door) -> None:
    run_id = await door.create("17?", idempotency_key="once")
    assert await door.create("17?", idempotency_key="once") == run_id
    error = await refusal(door.create("18?", idempotency_key="once"))
    assert (error.reason_name, error.metadata["run_id"]) == ("IDEMPOTENCY_CONFLICT", run_id)


async def test_beyond_its_streams_and_waiting_calls_a_tenant_is_told_to_come_back_and_another_is_served(
    tmp_path: Path, secrets: Secrets, nats_url: str, valkey_url: str
) -> None:
    async with running(tmp_path, secrets, nats_url, valkey_url, tenant_max_streams=1) as door:
        request = runs_pb.StreamRunRequest(run_id=await door.create())
        served = door.runs.StreamRun(request, metadata=door.key)
        await next_message(served)
        for refused in (
            door.runs.StreamRun(request, metadata=door.key),
            door.events.StreamRunEvents(
                events_pb.StreamRunEventsRequest(run_id=request.run_id), metadata=door.key
            ),
        ):
            error = await refusal(refused.read())
            assert await refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert (error.reason_name, error.metadata["limit"]) == ("RATE_LIMITED", "1 at once")
            assert error.retry_after
        wait = runs_pb.RunAndWaitRequest(input="17?")
        assert (await refusal(door.runs.RunAndWait(wait, metadata=door.key))).reason_name == "RATE_LIMITED"
        test = webhooks_pb.TestWebhookRequest(webhook_id="0" * 26)
        tried = WebhookServiceStub(door.channel).TestWebhook(test, metadata=door.key)
        assert (await refusal(tried)).reason_name == "RATE_LIMITED", "it waits for whoever it is posted to"
        other = door.runs.StreamRun(request, metadata=await door.new_key(tenant="small", scopes=["runs"]))
        assert (await refusal(other.read())).reason_name == "RUN_NOT_FOUND", "it has a place of its own"
        served.cancel()
        async with asyncio.timeout(10):
            while metrics.RPC_IN_FLIGHT._value.get():  # noqa: ASYNC110 - a metric has no event
                await asyncio.sleep(0.01)
        await next_message(door.runs.StreamRun(request, metadata=door.key))


async def test_over_the_rate_the_caller_is_told_when_to_come_back(door: Door) -> None:
    key = await door.new_key(tenant="small")
    call = door.agents.ListAgents
    for _ in range(10):
        await call(agents_pb.ListAgentsRequest(), metadata=key)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call(agents_pb.ListAgentsRequest(), metadata=key)
    error = codec.from_rpc(raised.value, "gateway")
    assert error.reason_name == "RATE_LIMITED"
    assert 0 < (error.retry_after or 0) <= 6
    sent = raised.value.initial_metadata()
    assert sent is not None
    assert int(sent["retry-after"]) in range(1, 7)


async def test_an_empty_budget_is_a_quota_failure_until_it_is_raised(door: Door) -> None:
    door.peers.cost.spent_microusd = 25_000_000
    error = await refusal(door.create())
    assert error.reason_name == "BUDGET_EXCEEDED"
    assert error.quota
    budget = Budget(scope=Scope.SCOPE_TENANT, window=Window.WINDOW_DAY, limit_microusd=30_000_000)
    await door.admin.SetBudget(admin_pb.SetBudgetRequest(budget=budget), metadata=door.key)
    statuses = (await door.admin.GetBudget(admin_pb.GetBudgetRequest(), metadata=door.key)).statuses
    assert statuses[0].budget.limit_microusd == 30_000_000
    await door.create()
