"""Whoever waits for a run hears its end as soon as it can be read; what else ends a wait."""

from __future__ import annotations

import asyncio

import pytest

from malha.api.gateway.v1.run_pb2 import RunStatus, StepStatus
from malha.api.gateway.v1.run_service_pb2 import CreateRunRequest
from malha.api.run.v1.record_pb2 import FinalStatus, Record, StepKind
from malha.errors import ErrorReason
from malha.testing.gate import ANA, QUESTION, Gate
from malha.testing.raised import refusal
from malha.testing.records import RecordsOf, ended
from malha_gateway.looking import POLL_SECONDS
from malha_gateway.view import NO_LLM


async def test_waiting_answers_at_the_end_with_the_whole_run(gate: Gate) -> None:
    waiting = asyncio.create_task(gate.runs.wait(ANA, QUESTION, seconds=5))
    await gate.worker((await gate.accepted()).record.run_id).play()
    run = await waiting
    assert run.status == RunStatus.RUN_STATUS_SUCCEEDED
    assert (run.answer, run.model, run.model_note) == ("391", "offline-1", NO_LLM)
    assert [step.status for step in run.steps] == [StepStatus.STEP_STATUS_OK] * 3
    assert run.steps[0].offered_tools == ["calculator"]
    assert run.usage.input_tokens == 200
    assert run.finish_time.seconds
    assert run == await gate.runs.get(ANA, run.run_id)


async def test_whoever_waits_does_not_read_what_it_wrote_itself(gate: Gate) -> None:
    waiting = asyncio.create_task(gate.runs.wait(ANA, QUESTION, seconds=5))
    accepted = await gate.accepted()
    for _ in range(10):
        await asyncio.sleep(0)  # the ring of the beginning is heard
    assert gate.journal.loads == 0
    await gate.worker(accepted.record.run_id).play()
    assert (await waiting).answer == "391"
    assert gate.journal.loads > 0


async def test_waiting_on_a_retry_of_a_finished_run_answers_at_once(gate: Gate) -> None:
    request = CreateRunRequest(input="17?", idempotency_key="once")
    run = await gate.runs.create(ANA, request)
    await gate.worker(run.run_id).play()
    assert (await gate.runs.wait(ANA, request, seconds=5)).answer == "391"


async def test_a_run_whose_journal_broke_is_dead_for_whoever_waits_or_asks_again(gate: Gate) -> None:
    request = CreateRunRequest(input="17?", idempotency_key="once")
    waiting = asyncio.create_task(gate.runs.wait(ANA, request, seconds=5))
    run_id = (await gate.accepted()).record.run_id
    broken = RecordsOf("acme", run_id).record(ended(f"acme/{run_id}/1/2/1"))
    await gate.journal.append(broken, expected=1)
    assert (await waiting).status == RunStatus.RUN_STATUS_DEAD
    assert (await gate.runs.create(ANA, request)).status == RunStatus.RUN_STATUS_DEAD


async def test_a_ring_that_was_refused_ends_no_wait(gate: Gate) -> None:
    waiting = asyncio.create_task(gate.runs.wait(ANA, QUESTION, seconds=5))
    accepted = (await gate.accepted()).record
    forged = Record(tenant="acme", run_id=accepted.run_id)
    forged.events.add().finished.status = FinalStatus.FINAL_STATUS_DEAD
    with pytest.raises(Exception, match="came first"):
        await gate.journal.append(forged, expected=0)
    await gate.worker(accepted.run_id).play()
    assert (await waiting).status == RunStatus.RUN_STATUS_SUCCEEDED


async def test_an_end_that_rings_before_it_can_be_read_is_looked_for_again_at_once(gate: Gate) -> None:
    waiting = asyncio.create_task(gate.runs.wait(ANA, QUESTION, seconds=30))
    gate.journal.lag = 3
    async with asyncio.timeout(POLL_SECONDS / 2):
        await gate.worker((await gate.accepted()).record.run_id).play()
        assert (await waiting).answer == "391"


async def test_a_journal_that_is_away_for_a_moment_ends_no_wait(gate: Gate) -> None:
    """Who is sent away without the run's id would have it made a second time."""
    waiting = asyncio.create_task(gate.runs.wait(ANA, QUESTION, seconds=30))
    gate.journal.away = 3
    async with asyncio.timeout(POLL_SECONDS / 2):
        await gate.worker((await gate.accepted()).record.run_id).play()
        assert (await waiting).answer == "391"
    assert not gate.journal.away


async def test_a_caller_out_of_time_is_told_which_run_goes_on_though_the_journal_does_not_answer(
    gate: Gate,
) -> None:
    waiting = asyncio.create_task(gate.runs.wait(ANA, QUESTION, seconds=0.1))
    run_id = (await gate.accepted()).record.run_id
    gate.journal.hangs = True
    async with asyncio.timeout(5):
        await gate.worker(run_id).play()
        error = await refusal(waiting)
    assert error.reason == ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED
    assert error.metadata["run_id"] == run_id


async def test_a_wait_ends_when_the_run_waits_for_a_person(gate: Gate) -> None:
    waiting = asyncio.create_task(gate.runs.wait(ANA, QUESTION, seconds=5))
    worker = gate.worker((await gate.accepted()).record.run_id)
    await worker.claim()
    await worker.park(await worker.start(StepKind.STEP_KIND_TOOL, "append_line"))
    run = await waiting
    assert run.status == RunStatus.RUN_STATUS_WAITING
    assert run.error.reason == "OUTCOME_UNKNOWN"


async def test_a_caller_out_of_time_is_told_which_run_goes_on(gate: Gate) -> None:
    error = await refusal(gate.runs.wait(ANA, QUESTION, seconds=0.01))
    assert error.reason == ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED
    assert (await gate.runs.get(ANA, error.metadata["run_id"])).status == RunStatus.RUN_STATUS_QUEUED


@pytest.mark.parametrize(
    ("reason", "metadata"),
    [
        ("BUDGET_EXCEEDED", {"scope": "run", "limit_microusd": "10"}),
        ("GUARD_BLOCKED", {"stage": "output", "rule": "secret", "policy": "v1"}),
    ],
)
async def test_a_run_refused_by_budget_or_guard_is_raised_as_that_error(
    gate: Gate, reason: str, metadata: dict[str, str]
) -> None:
    waiting = asyncio.create_task(gate.runs.wait(ANA, QUESTION, seconds=5))
    run_id = (await gate.accepted()).record.run_id
    worker = gate.worker(run_id)
    await worker.claim()
    await worker.finish(FinalStatus.FINAL_STATUS_FAILED, reason, "no room", metadata)
    error = await refusal(waiting)
    assert error.reason_name == reason
    assert error.metadata == {**metadata, "run_id": run_id}
    assert error.message == "no room"
    assert (error.quota is not None) == (reason == "BUDGET_EXCEEDED")


async def test_any_other_end_is_a_run_that_tells_of_it(gate: Gate) -> None:
    waiting = asyncio.create_task(gate.runs.wait(ANA, QUESTION, seconds=5))
    worker = gate.worker((await gate.accepted()).record.run_id)
    await worker.claim()
    await worker.finish(FinalStatus.FINAL_STATUS_FAILED, "ITERATION_LIMIT", "five were not enough")
    run = await waiting
    assert run.status == RunStatus.RUN_STATUS_FAILED
    assert (run.error.reason, run.error.message) == ("ITERATION_LIMIT", "five were not enough")
