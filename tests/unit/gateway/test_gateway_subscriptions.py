"""What a tenant is given for what was paid, whatever was told when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from malha.api.common.v1.principal_pb2 import Tier
from malha_gateway.subscriptions import UNPAID, Event, Paid, Standing, paid

FREE, PRO, ENTERPRISE = Tier.TIER_FREE, Tier.TIER_PRO, Tier.TIER_ENTERPRISE
TIERS = {"pro": PRO, "enterprise": ENTERPRISE}
GRACE = timedelta(days=7)
DAY = 86_400


def told(day: float, standing: Standing, *prices: str, of: str = "sub") -> Event:
    return Event(f"{of}/{day}/{standing}/{prices}", "cus", of, int(day * DAY), standing, prices)


def given_by(*events: Event) -> Paid:
    return paid(events, TIERS, GRACE)


def lapsing(tier: Tier, day: float) -> Paid:
    return Paid(tier, datetime.fromtimestamp(day * DAY, UTC))


BEGUN = told(1, Standing.STOPPED, "pro"), told(1, Standing.PAID)


def test_before_anything_is_subscribed_keys_have_their_own_tiers() -> None:
    assert given_by() == given_by(told(1, Standing.NAMED)) == UNPAID


def test_a_subscription_gives_its_tier_once_it_is_paid() -> None:
    assert given_by(BEGUN[0]) == Paid(FREE)
    assert given_by(*BEGUN) == Paid(PRO)
    assert given_by(*BEGUN, told(5, Standing.PAID, "enterprise")) == Paid(ENTERPRISE)
    assert given_by(*BEGUN, told(5, Standing.PAID, "unknown")) == Paid(FREE)


def test_a_failed_payment_is_forgiven_for_the_grace_counted_from_the_first() -> None:
    failed = told(10, Standing.FAILING), told(12, Standing.FAILING), told(14, Standing.FAILING, "pro")
    assert given_by(*BEGUN, *failed) == lapsing(PRO, 17)
    assert given_by(*BEGUN, *failed, told(15, Standing.PAID)) == Paid(PRO)
    assert given_by(*BEGUN, *failed, told(15, Standing.PAID), told(40, Standing.FAILING)) == lapsing(PRO, 47)
    assert given_by(*BEGUN, *failed, told(15, Standing.STOPPED)) == Paid(FREE)
    given = lapsing(PRO, 17)
    assert given.at(datetime.fromtimestamp(17 * DAY - 1, UTC)) == PRO
    assert given.at(datetime.fromtimestamp(17 * DAY, UTC)) == FREE


def test_a_first_payment_that_fails_gives_nothing() -> None:
    assert given_by(BEGUN[0], told(1, Standing.FAILING)) == Paid(FREE)


def test_a_subscription_that_ended_gives_nothing_whatever_is_paid_later() -> None:
    assert given_by(*BEGUN, told(20, Standing.ENDED), told(21, Standing.PAID, "enterprise")) == Paid(FREE)


def test_one_that_is_paid_gives_though_another_ended_or_fails() -> None:
    another = told(30, Standing.PAID, "pro", of="another")
    assert given_by(*BEGUN, told(20, Standing.ENDED), another) == Paid(PRO)
    assert given_by(*BEGUN, told(20, Standing.FAILING), another) == Paid(PRO)


EVENTS = st.lists(
    st.builds(
        told,
        st.integers(0, 12),
        st.sampled_from(Standing),
        st.sampled_from(["pro", "enterprise", "unknown"]),
        of=st.sampled_from(["one", "two"]),
    ),
    max_size=9,
)


@given(EVENTS, st.randoms(use_true_random=False))
def test_in_whatever_order_events_come_they_give_the_same(events: list[Event], chance: object) -> None:
    shuffled = list(events)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random
    assert given_by(*events) == given_by(*shuffled)


@given(EVENTS)
def test_only_what_was_paid_is_given(events: list[Event]) -> None:
    most = max(
        (TIERS.get(event.prices[0], FREE) for event in events if event.standing != Standing.NAMED),
        default=Tier.TIER_UNSPECIFIED,
    )
    given = given_by(*events)
    assert given.tier <= most
    if given.tier > FREE:
        assert any(event.standing == Standing.PAID for event in events)
