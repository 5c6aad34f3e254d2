"""Reserving: at the ceiling, all or none, once a key."""

import pytest

from malha.api.common.v1.usage_pb2 import Cost, Usage
from malha.api.cost.v1.cost_service_pb2 import ModelCall, Reservation, Reserved, Settlement
from malha.errors import ErrorReason
from malha.testing.clock import FakeClock
from malha.testing.money import Till, call, limit, release, tool, used


async def test_a_model_call_is_reserved_at_its_ceiling(till: Till) -> None:
    answer = await till.reserve(call("k", 7, output=5))
    assert list(answer.reserved) == [Reserved(key="k", amount_microusd=57, max_output_tokens=5)]
    assert await till.standing() == (0, 57)


async def test_the_same_key_again_answers_the_same_and_reserves_nothing_more(till: Till) -> None:
    first = await till.reserve(call("k", 100))
    assert await till.reserve(call("k", 100)) == first
    await till.settle(used("k", 60))
    assert await till.reserve(call("k", 100)) == first
    assert await till.standing() == (60, 0)


async def test_the_same_key_answers_the_same_after_a_change_of_price(till: Till, clock: FakeClock) -> None:
    first = await till.reserve(call("k", 100))
    clock.advance(60 * 86400)
    assert await till.reserve(call("k", 100)) == first
    assert (await till.reserve(call("new", 100))).reserved[0].amount_microusd == 200


async def test_a_key_answers_the_same_where_nothing_new_would_fit(till: Till) -> None:
    first = await till.reserve(call("k", 1000))
    assert (await till.reserve(call("n", 1))).HasField("denied")
    assert await till.reserve(call("k", 1000)) == first


@pytest.mark.parametrize(
    "other", [call("k", 101), call("k", output=1), call("k", run="s"), tool("k", 100), tool("t", 101)]
)
async def test_a_key_belongs_to_one_call(till: Till, other: Reservation) -> None:
    await till.reserve(call("k"), tool("t", 100))
    error = await till.refused(other)
    assert error.reason == ErrorReason.ERROR_REASON_IDEMPOTENCY_CONFLICT
    assert error.metadata["run_id"] == "r"


async def test_a_released_key_is_not_reserved_again(till: Till) -> None:
    await till.reserve(call("k"))
    await till.settle(release("k"))
    error = await till.refused(call("k"))
    assert error.reason == ErrorReason.ERROR_REASON_SETTLEMENT_CONFLICT


async def test_several_calls_are_reserved_all_or_none(till: Till) -> None:
    answer = await till.reserve(call("a", 600), call("b", 600))
    assert not answer.reserved
    assert answer.denied.wanted_microusd == 1200
    assert await till.standing() == (0, 0)
    answer = await till.reserve(call("a", 600), tool("b", 400))
    assert [r.amount_microusd for r in answer.reserved] == [600, 400]


async def test_a_key_twice_in_one_request_is_refused(till: Till) -> None:
    error = await till.refused(call("k"), call("k"))
    assert error.violations[0][0] == "reserve[1].key"


async def test_an_unknown_model_is_refused_and_nothing_of_the_request_is_written(till: Till) -> None:
    await till.reserve(call("k"))
    error = await till.refused(call("x", model="unheard-of"), settle=[used("k", 1)])
    assert error.reason == ErrorReason.ERROR_REASON_PRICE_UNKNOWN
    assert error.metadata["model"] == "unheard-of"


async def test_the_offline_model_is_free_and_is_compared_with_a_named_one(till: Till) -> None:
    await till.judge.set_budget(till.principal, limit(0))
    free = ModelCall(provider="offline", model="x", input_tokens=10**6, max_output_tokens=10**6)
    answer = await till.reserve(Reservation(key="k", run_id="r", model=free))
    assert list(answer.reserved) == [Reserved(key="k", amount_microusd=0, max_output_tokens=10**6)]
    usage = Usage(input_tokens=100, output_tokens=20)
    answer = await till.reserve(settle=[Settlement(key="k", usage=usage)])
    assert answer.settled[0].cost == Cost(reference_microusd=150, reference_model="half")
