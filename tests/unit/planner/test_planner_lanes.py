"""Turns and room: laws of the order in which lanes are asked."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.api.run.v1.record_pb2 import Accepted, Priority
from malha.run import lane_of, parse_lane
from malha_planner.lanes import Lane, Lanes

NAMES = [
    f"{work}{priority}" for work in ("interactive", "batch", "cpu") for priority in ("-high", "", "-low")
]
SHARES = {"batch": 0.5, "cpu": 0.25}


def lanes(slots: int = 8, cap: int = 100, **shares: float) -> Lanes:
    return Lanes(slots, shares, lambda _: cap)


def taken(made: Lanes, count: int) -> list[Lane]:
    """So many turns, each of whose items is done with at once."""
    order = []
    for _ in range(count):
        lane = made.take()
        assert lane is not None
        order.append(lane)
        made.free(lane)
    return order


def test_who_comes_anew_is_next_however_many_wait_and_however_long() -> None:
    made = lanes(slots=1)
    crowd, lonely = Lane("interactive", "crowd"), Lane("interactive", "lonely")
    made.add(crowd, 10_000)
    taken(made, 5)
    made.add(lonely)
    assert taken(made, 3) == [lonely, crowd, crowd]


def test_who_comes_again_and_again_does_not_push_out_who_waits() -> None:
    made = lanes(slots=1)
    crowd = Lane("interactive", "crowd")
    made.add(crowd, 100)
    others = [Lane("interactive", f"t{n}") for n in range(4)]
    order = []
    for _ in range(20):
        for other in others:
            made.at_least(other, 1)
        order += taken(made, 1)
    assert order.count(crowd) == 4, "a fifth"


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 30), min_size=1),
    st.integers(1, 120),
)
def test_between_two_turns_of_a_tenant_nobody_who_waits_gets_none(
    waiting: dict[str, int], turns: int
) -> None:
    made = lanes()
    for tenant, items in waiting.items():
        made.add(Lane("interactive", tenant), items)
    order = [lane.tenant for lane in taken(made, min(turns, sum(waiting.values())))]
    had = Counter(order)
    left = {tenant: items - had[tenant] for tenant, items in waiting.items()}
    most = max(had.values())
    assert all(had[tenant] >= most - 1 for tenant, items in left.items() if items > 0)


def test_classes_take_turns_and_a_tenant_of_many_lanes_has_no_more_of_them() -> None:
    made = lanes(slots=100)
    for name in NAMES:
        made.add(Lane(name, "many"), 50)
    made.add(Lane("interactive", "one"), 50)
    order = taken(made, 60)
    assert Counter(lane.work_class for lane in order) == {"interactive": 20, "batch": 20, "cpu": 20}
    interactive = Counter(lane.tenant for lane in order if lane.work_class == "interactive")
    assert interactive == {"many": 10, "one": 10}


def test_a_higher_priority_goes_first_within_a_tenant_and_moves_nobody_past_another() -> None:
    made = lanes(slots=1)
    low, normal, high = (Lane(name, "a") for name in ("batch-low", "batch", "batch-high"))
    made.add(low, 2)
    made.add(normal, 2)
    made.add(high, 2)
    made.add(Lane("batch-low", "b"), 6)
    order = taken(made, 12)
    assert [lane for lane in order if lane.tenant == "a"] == [high, high, normal, normal, low, low]
    assert [lane.tenant for lane in order] == ["a", "b"] * 6


@given(
    st.integers(1, 20),
    st.integers(1, 6),
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from("abc"), st.booleans()), max_size=80),
)
def test_there_are_never_more_items_than_slots_shares_and_caps_allow(
    slots: int, cap: int, moves: list[tuple[str, str, bool]]
) -> None:
    made = Lanes(slots, SHARES, lambda _: cap)
    held: list[Lane] = []
    for name, tenant, release in moves:
        if release and held:
            made.free(held.pop(0))
        else:
            made.add(Lane(name, tenant))
        while (lane := made.take()) is not None:
            held.append(lane)
        by_class = Counter(lane.work_class for lane in held)
        assert made.taken == len(held) <= slots
        assert all(by_class[one] <= max(1, -(-slots * share // 1)) for one, share in SHARES.items())
        assert all(n <= cap for n in Counter((lane.work_class, lane.tenant) for lane in held).values())


def test_a_class_at_its_share_leaves_the_rest_to_others() -> None:
    made = lanes(slots=8, batch=0.5)
    made.add(Lane("batch", "a"), 100)
    order = [made.take() for _ in range(6)]
    assert order.count(None) == 2
    made.add(Lane("interactive", "a"), 4)
    assert [lane.work_class for _ in range(4) if (lane := made.take())] == ["interactive"] * 4
    assert made.take() is None


def test_an_empty_lane_is_asked_no_more_until_it_has_work_again() -> None:
    made = lanes()
    lane = Lane("interactive", "a")
    made.at_least(lane, 3)
    made.empty(lane)
    made.empty(lane)
    assert made.take() is None
    made.at_least(lane, 0)
    assert not made.waits(lane)
    made.add(lane)
    assert made.take() == lane


@pytest.mark.parametrize(
    ("accepted", "lane"),
    [
        (Accepted(work_class="interactive"), "interactive"),
        (Accepted(work_class="batch", priority=Priority.PRIORITY_NORMAL), "batch"),
        (Accepted(work_class="batch", priority=Priority.PRIORITY_HIGH), "batch-high"),
        (Accepted(work_class="cpu", priority=Priority.PRIORITY_LOW), "cpu-low"),
        (Accepted(work_class="nightly-jobs"), "nightly-jobs"),
    ],
)
def test_a_lane_tells_its_class_and_priority(accepted: Accepted, lane: str) -> None:
    assert lane_of(accepted) == lane
    work_class, priority = parse_lane(lane)
    assert work_class == accepted.work_class
    assert priority == (accepted.priority or Priority.PRIORITY_NORMAL)
