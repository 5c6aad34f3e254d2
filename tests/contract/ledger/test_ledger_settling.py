"""Settling: once a key, corrected once, never lost, never invented."""

import pytest

from malha.api.common.v1.usage_pb2 import Cost, Usage
from malha.api.cost.v1.cost_service_pb2 import Reservation, Settlement
from malha.errors import ErrorReason, MalhaError
from malha.testing.clock import FakeClock
from malha.testing.money import Till, at_ceiling, call, free, release, tool, used
from malha_cost.authorization import Decision
from malha_cost.judge import Judge
from malha_cost.ports import Ledger
from malha_cost.prices import PriceTable


async def test_a_settlement_frees_what_was_not_used(till: Till) -> None:
    await till.reserve(call("k", 100))
    assert await till.settle(used("k", 40)) == [40]
    assert await till.standing() == (40, 0)


async def test_what_a_settlement_frees_may_be_reserved_in_the_same_request(till: Till) -> None:
    await till.reserve(call("k", 1000))
    answer = await till.reserve(call("n", 600), settle=[used("k", 400)])
    assert answer.settled[0].cost.amount_microusd == 400
    assert answer.reserved[0].amount_microusd == 600
    assert await till.standing() == (400, 600)


async def test_settlements_hold_where_the_reservation_is_denied(till: Till) -> None:
    await till.reserve(call("k", 1000))
    answer = await till.reserve(call("n", 601), settle=[used("k", 400)])
    assert answer.HasField("denied")
    assert answer.settled[0].cost.amount_microusd == 400
    assert await till.standing() == (400, 0)


async def test_a_call_that_costs_nothing_enters_the_ledger_with_its_settlement(till: Till) -> None:
    for _ in range(2):  # asking again changes nothing
        assert await till.settle(free("k"), free("n", at_ceiling=True), free("m", release=True)) == [0, 0, 0]
    assert await till.standing() == (0, 0)
    error = await till.refused(tool("k", 1))
    assert error.reason == ErrorReason.ERROR_REASON_IDEMPOTENCY_CONFLICT, "the key was not entered"


NOT_FREE = [(tool("k", 1), "tool"), (call("k"), "tool"), (tool("n", 0), "key")]


@pytest.mark.parametrize(("asked", "field"), NOT_FREE)
async def test_what_costs_money_or_has_another_key_is_not_settled_without_a_reservation(
    till: Till, asked: Reservation, field: str
) -> None:
    error = await till.refused(settle=[Settlement(key="k", amount_microusd=0, free=asked)])
    assert error.violations[0][0] == f"settle[0].free.{field}"


async def test_cached_input_has_its_own_price(till: Till) -> None:
    await till.reserve(call("k", 100))
    assert await till.settle(Settlement(key="k", usage=Usage(input_tokens=100, cached_input_tokens=60))) == [
        46
    ]


async def test_a_settlement_uses_the_price_of_its_reservation(till: Till, clock: FakeClock) -> None:
    await till.reserve(call("k", 100))
    clock.advance(60 * 86400)
    assert await till.settle(used("k", 100)) == [100]


async def test_a_tool_is_settled_by_its_amount_and_compared_with_nothing(till: Till) -> None:
    await till.reserve(tool("k", 50))
    answer = await till.reserve(settle=[Settlement(key="k", amount_microusd=20)])
    assert answer.settled[0].cost == Cost(amount_microusd=20)
    assert await till.standing() == (20, 0)


async def test_a_settlement_above_its_reservation_is_recorded_in_full_and_counted_once(
    book: Ledger, prices: PriceTable, clock: FakeClock
) -> None:
    decisions: list[Decision] = []
    till = Till(Judge(book, prices, reference=None, clock=clock, decided=decisions.append))
    await till.reserve(call("k", 900))
    assert await till.settle(used("k", 1500)) == [1500]
    assert await till.settle(used("k", 1500)) == [1500]
    assert [[s.cost.overrun_microusd for s in decision.overruns] for decision in decisions] == [[], [600], []]
    assert await till.standing() == (1500, 0)
    assert (await till.reserve(call("n", 1))).denied.may_free is False


ENDS: dict[str, Settlement] = {
    "used": used("k", 40),
    "used otherwise": used("k", 41),
    "unused": used("k", 0),
    "at its ceiling": at_ceiling("k"),
    "released": release("k"),
}


@pytest.mark.parametrize(
    ("first", "second", "before", "after"),
    [
        ("used", "used", 40, 40),
        ("used", "used otherwise", 40, "conflict"),
        ("used", "released", 40, "conflict"),
        ("used", "at its ceiling", 40, 40),  # who does not know never contradicts who does
        ("at its ceiling", "at its ceiling", 100, 100),
        ("at its ceiling", "used", 100, 40),
        ("at its ceiling", "released", 100, 0),
        ("released", "released", 0, 0),
        ("released", "unused", 0, 0),
        ("released", "used", 0, "conflict"),
        ("released", "at its ceiling", 0, 0),
    ],
)
async def test_two_settlements_of_one_key(
    till: Till, first: str, second: str, before: int, after: int | str
) -> None:
    await till.reserve(call("k", 100))
    assert await till.settle(ENDS[first]) == [before]
    if after == "conflict":
        error = await till.refused(settle=[ENDS[second]])
        assert error.reason == ErrorReason.ERROR_REASON_SETTLEMENT_CONFLICT
    else:
        assert await till.settle(ENDS[second]) == [after]
        assert await till.standing() == (after, 0)


async def test_a_provisional_settlement_is_corrected_exactly_once(till: Till) -> None:
    await till.reserve(call("k", 100))
    await till.settle(at_ceiling("k"))
    assert await till.settle(used("k", 40)) == [40]
    assert await till.settle(used("k", 40), at_ceiling("k")) == [40, 40]
    error = await till.refused(settle=[used("k", 41)])
    assert error.reason == ErrorReason.ERROR_REASON_SETTLEMENT_CONFLICT


async def test_the_reference_of_a_correction_is_that_of_the_true_figures(till: Till) -> None:
    await till.reserve(call("k", 100))
    await till.settle(at_ceiling("k"))
    answer = await till.reserve(settle=[used("k", 40)])
    assert answer.settled[0].cost == Cost(amount_microusd=40, reference_microusd=20, reference_model="half")


async def test_a_key_of_another_tenant_is_not_found_and_does_not_clash(till: Till) -> None:
    bia = Till(till.judge, tenant="bia")
    await till.reserve(call("k", 100))
    for settlement in (used("k", 1), at_ceiling("k")):
        with pytest.raises(MalhaError) as refusal:
            await bia.settle(settlement)
        assert refusal.value.reason == ErrorReason.ERROR_REASON_RESERVATION_NOT_FOUND
    assert (await bia.reserve(call("k", 300))).reserved[0].amount_microusd == 300
    assert (await till.standing(), await bia.standing()) == ((0, 100), (0, 300))


async def test_what_was_released_before_it_was_reserved_stays_closed(till: Till) -> None:
    """A worker that was taken for dead asks for its money after its successor gave it back."""
    for _ in range(2):
        assert await till.settle(release("k")) == [0]
        error = await till.refused(call("k", 100))
        assert error.reason == ErrorReason.ERROR_REASON_SETTLEMENT_CONFLICT
    assert await till.standing() == (0, 0)


async def test_one_bad_settlement_undoes_the_whole_request(till: Till) -> None:
    await till.reserve(call("k"))
    error = await till.refused(call("n"), settle=[used("k", 1), used("unknown", 1)])
    assert error.reason == ErrorReason.ERROR_REASON_RESERVATION_NOT_FOUND
    assert error.metadata["key"] == "unknown"
    assert "settle[1]" in error.message


@pytest.mark.parametrize(
    ("settlement", "field"),
    [
        (Settlement(key="m", amount_microusd=1), "amount_microusd"),
        (Settlement(key="t", usage=Usage(input_tokens=1)), "usage"),
        (Settlement(key="m", usage=Usage(cached_input_tokens=1)), "usage.cached_input_tokens"),
        (Settlement(key="m", usage=Usage(reasoning_tokens=1)), "usage.reasoning_tokens"),
        (Settlement(key="m", usage=Usage(input_tokens=2**62)), "usage"),
        (Settlement(key="t", amount_microusd=2**62), "amount_microusd"),
        (Settlement(key="m", at_ceiling=False), "at_ceiling"),
        (Settlement(key="m", release=False), "release"),
    ],
)
async def test_figures_that_do_not_fit_the_call_are_refused_by_field(
    till: Till, settlement: Settlement, field: str
) -> None:
    await till.reserve(call("m"), tool("t", 1))
    error = await till.refused(settle=[settlement])
    assert error.violations[0][0] == f"settle[0].{field}"
