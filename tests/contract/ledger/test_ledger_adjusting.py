"""What people move afterwards: beside the entries, once an id, never below zero."""

import pytest

from malha.api.cost.v1.cost_service_pb2 import AdjustRequest
from malha.errors import ErrorReason, MalhaError
from malha.testing.clock import FakeClock
from malha.testing.money import Till, at_ceiling, call, release, used
from malha_cost.judge import Judge


def moved(amount: int, *, name: str = "a1", key: str = "k") -> AdjustRequest:
    return AdjustRequest(id=name, key=key, amount_microusd=amount, reason="invoice 7")


async def test_an_adjustment_counts_where_its_key_counts_and_once(
    judge: Judge, till: Till, clock: FakeClock
) -> None:
    await till.spend("k", 500)
    clock.advance(86400)
    for _ in range(2):
        assert await judge.adjust(till.principal, moved(-200)) == 300
    assert await judge.adjust(till.principal, moved(50, name="a2")) == 350
    assert await till.standing() == (0, 0)
    clock.advance(-86400)
    assert await till.standing() == (350, 0)
    assert await till.settle(used("k", 500)) == [350], "the settlement stands, and so does what was moved"


async def test_more_than_was_spent_is_not_given_back(judge: Judge, till: Till) -> None:
    await till.spend("k", 500)
    await judge.adjust(till.principal, moved(-400))
    with pytest.raises(MalhaError) as refusal:
        await judge.adjust(till.principal, moved(-101, name="a2"))
    assert refusal.value.violations[0][0] == "amount_microusd"
    assert await till.standing() == (100, 0)


async def test_an_id_belongs_to_one_adjustment(judge: Judge, till: Till) -> None:
    await till.spend("k", 500)
    await judge.adjust(till.principal, moved(-1))
    with pytest.raises(MalhaError) as refusal:
        await judge.adjust(till.principal, moved(-2))
    assert refusal.value.reason == ErrorReason.ERROR_REASON_IDEMPOTENCY_CONFLICT


async def test_only_what_was_settled_for_good_is_adjusted(judge: Judge, till: Till) -> None:
    await till.reserve(call("open", 1), call("provisional", 10), call("released", 1))
    await till.settle(at_ceiling("provisional"), release("released"))
    reasons = {}
    for key in ("unknown", "open", "released", "provisional"):
        with pytest.raises(MalhaError) as refusal:
            await judge.adjust(till.principal, moved(-1, key=key))
        reasons[key] = refusal.value.reason
    assert reasons.pop("provisional") == ErrorReason.ERROR_REASON_SETTLEMENT_CONFLICT
    assert set(reasons.values()) == {ErrorReason.ERROR_REASON_RESERVATION_NOT_FOUND}
    await till.settle(used("provisional", 4))
    assert await judge.adjust(till.principal, moved(-1, key="provisional")) == 3


async def test_another_tenants_key_is_not_adjusted(judge: Judge, till: Till) -> None:
    await till.spend("k", 500)
    with pytest.raises(MalhaError) as refusal:
        await judge.adjust(Till(judge, "bia").principal, moved(-1))
    assert refusal.value.reason == ErrorReason.ERROR_REASON_RESERVATION_NOT_FOUND
