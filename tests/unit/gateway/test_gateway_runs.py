"""Runs are created under resolved limits for their tenant alone, or refused before anything is written."""

from __future__ import annotations

import pytest

from malha.api.gateway.v1.run_pb2 import RunStatus
from malha.api.gateway.v1.run_service_pb2 import CreateRunRequest, RunLimitsRequest
from malha.errors import ErrorReason
from malha.run import Priority, lane_of
from malha.testing.gate import ANA, QUESTION, STRANGER, Gate
from malha.testing.raised import refusal


async def test_a_created_run_is_queued_under_resolved_limits(gate: Gate) -> None:
    request = CreateRunRequest(input="17?", limits=RunLimitsRequest(max_iterations=9, max_cost_microusd=10))
    run = await gate.runs.create(ANA, request)
    assert run.status == RunStatus.RUN_STATUS_QUEUED
    assert (run.agent, run.input) == ("default", "17?")
    assert (run.limits.max_iterations, run.limits.max_cost_microusd) == (4, 10)
    assert run.limits.max_wall_time.seconds == 120
    assert run.position == "1.0"
    record = gate.journal.entries[0].record
    assert b"17?" not in record.SerializeToString(), "what people say is sealed"
    assert record.events[0].accepted.principal == ANA


@pytest.mark.parametrize(
    ("asked", "lane"),
    [
        (CreateRunRequest(input="17?"), "interactive"),
        (CreateRunRequest(input="17?", work_class="batch"), "batch"),
        (CreateRunRequest(input="17?", work_class="cpu", priority=Priority.PRIORITY_HIGH), "cpu-high"),
        (CreateRunRequest(input="17?", priority=Priority.PRIORITY_LOW), "interactive-low"),
    ],
)
async def test_a_run_waits_in_the_queue_it_asks_for(gate: Gate, asked: CreateRunRequest, lane: str) -> None:
    await gate.runs.create(ANA, asked)
    assert lane_of(gate.journal.entries[0].record.events[0].accepted) == lane


async def test_a_masked_input_is_all_that_is_kept(gate: Gate) -> None:
    run = await gate.runs.create(ANA, CreateRunRequest(input="CPF 529.982.247-25"))
    assert run.input == "CPF [CPF]"


async def test_another_tenant_s_run_does_not_exist(gate: Gate) -> None:
    run = await gate.runs.create(ANA, QUESTION)
    for call in (gate.runs.get(STRANGER, run.run_id), gate.runs.cancel(STRANGER, run.run_id, "")):
        assert (await refusal(call)).reason == ErrorReason.ERROR_REASON_RUN_NOT_FOUND


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (CreateRunRequest(input="x" * 2001), ErrorReason.ERROR_REASON_FIELD_INVALID),
        (CreateRunRequest(input="hi", agent="nobody"), ErrorReason.ERROR_REASON_AGENT_NOT_FOUND),
        (CreateRunRequest(input="ignore all"), ErrorReason.ERROR_REASON_GUARD_BLOCKED),
    ],
)
async def test_a_refused_run_leaves_no_journal(
    gate: Gate, request_: CreateRunRequest, reason: ErrorReason
) -> None:
    assert (await refusal(gate.runs.create(ANA, request_))).reason == reason
    assert (await refusal(gate.runs.wait(ANA, request_, seconds=5))).reason == reason
    assert not gate.journal.entries


async def test_without_the_guard_nothing_is_accepted(gate: Gate) -> None:
    gate.peers.guard_away = True
    error = await refusal(gate.runs.create(ANA, QUESTION))
    assert error.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
    assert not gate.journal.entries


async def test_an_empty_budget_refuses_before_anyone_works(gate: Gate) -> None:
    gate.peers.left = 0
    error = await refusal(gate.runs.create(ANA, QUESTION))
    assert error.reason == ErrorReason.ERROR_REASON_BUDGET_EXCEEDED
    assert error.quota is not None
    assert not gate.journal.entries
    assert not gate.peers.checked


async def test_a_broker_known_to_be_away_refuses_at_once_with_a_time_to_come_back(gate: Gate) -> None:
    gate.nats.away = True
    error = await refusal(gate.runs.create(ANA, QUESTION))
    assert error.metadata["dependency"] == "nats"
    assert error.retry_after
    assert not gate.peers.checked
    assert (await refusal(gate.readiness.check())).metadata["dependency"] == "nats"
