"""A key makes one run of however many calls: retries, calls that race, calls that are refused by now."""

from __future__ import annotations

import asyncio

import pytest

from malha.api.gateway.v1.run_service_pb2 import CreateRunRequest
from malha.errors import ErrorReason, unavailable
from malha.ids import ulid
from malha.run import Entry
from malha.testing.gate import ANA, STRANGER, Gate
from malha.testing.raised import refusal


@pytest.fixture(params=["any text", "a new ULID", "an old ULID"])
def key(request: pytest.FixtureRequest) -> str:
    """What callers take for keys."""
    old = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    return {"any text": "once", "a new ULID": ulid(), "an old ULID": old}[str(request.param)]


async def test_a_retry_with_the_same_key_and_body_is_the_same_run(gate: Gate, key: str) -> None:
    request = CreateRunRequest(input="17?", idempotency_key=key)
    first = await gate.runs.create(ANA, request)
    again = await gate.runs.create(ANA, request)
    assert first.run_id == again.run_id
    assert len(gate.journal.entries) == 1


async def test_a_retry_finds_its_run_whatever_guard_and_budget_say_by_now(gate: Gate, key: str) -> None:
    request = CreateRunRequest(input="17?", idempotency_key=key)
    first = await gate.runs.create(ANA, request)
    gate.peers.left, gate.peers.guard_away = 0, True
    assert (await gate.runs.create(ANA, request)).run_id == first.run_id


async def test_a_refusal_is_told_though_nobody_can_say_whether_the_key_was_used(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def load(*_: object, **__: object) -> list[Entry]:
        raise unavailable("planner")

    monkeypatch.setattr(gate.journal, "load", load)
    error = await refusal(gate.runs.create(ANA, CreateRunRequest(input=" ", idempotency_key=ulid())))
    assert error.reason == ErrorReason.ERROR_REASON_FIELD_INVALID


async def test_a_new_key_that_is_a_ulid_costs_no_look_for_an_earlier_run(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def load(*_: object, **__: object) -> list[Entry]:
        raise AssertionError("looked")

    monkeypatch.setattr(gate.journal, "load", load)
    await gate.runs.create(ANA, CreateRunRequest(input="17?", idempotency_key=ulid()))
    with pytest.raises(AssertionError, match="looked"):
        await gate.runs.create(ANA, CreateRunRequest(input="17?", idempotency_key="once"))


async def test_retries_that_race_open_one_run(gate: Gate, key: str) -> None:
    request = CreateRunRequest(input="17?", idempotency_key=key)
    runs = await asyncio.gather(*(gate.runs.create(ANA, request) for _ in range(20)))
    assert len({run.run_id for run in runs}) == len(gate.journal.entries) == 1


async def test_the_same_key_with_another_body_is_a_conflict_that_names_the_run(gate: Gate, key: str) -> None:
    first = await gate.runs.create(ANA, CreateRunRequest(input="17?", idempotency_key=key))
    error = await refusal(gate.runs.create(ANA, CreateRunRequest(input="18?", idempotency_key=key)))
    assert error.reason == ErrorReason.ERROR_REASON_IDEMPOTENCY_CONFLICT
    assert error.metadata["run_id"] == first.run_id


async def test_equal_keys_of_two_tenants_never_meet(gate: Gate) -> None:
    request = CreateRunRequest(input="17?", idempotency_key="once")
    assert (await gate.runs.create(ANA, request)).run_id != (await gate.runs.create(STRANGER, request)).run_id
