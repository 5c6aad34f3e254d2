"""Windows, denials and who goes first."""

import zoneinfo
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.api.cost.v1.budget_pb2 import Budget, BudgetPolicy, BudgetStatus, Level, Scope, Window
from malha.errors import MalhaError
from malha_cost import budget, windows
from malha_cost.accounts import Account
from malha_cost.budget import House, Who
from malha_cost.open_runs import OpenRuns
from malha_cost.prices import Rates
from malha_cost.windows import DAY, MINUTE, MONTH, TOTAL

TENANT, KEY = Scope.SCOPE_TENANT, Scope.SCOPE_KEY


def _status(limit: int, spent: int = 0, reserved: int = 0, scope: Scope = TENANT) -> BudgetStatus:
    return BudgetStatus(
        budget=Budget(scope=scope, window=DAY, limit_microusd=limit),
        spent_microusd=spent,
        reserved_microusd=reserved,
    )


NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATEST = "9999-12-31"


@pytest.mark.parametrize(
    ("window", "now", "since", "end"),
    [
        (DAY, NOON, "2026-11-20", datetime(2026, 11, 21, tzinfo=UTC)),
        (DAY, datetime(2026, 12, 31, tzinfo=UTC), "2026-12-31", datetime(2027, 1, 1, tzinfo=UTC)),
        (DAY, datetime(2028, 2, 28, tzinfo=UTC), "2028-02-28", datetime(2028, 2, 29, tzinfo=UTC)),
        (MONTH, NOON, "2026-11-01", datetime(2026, 12, 1, tzinfo=UTC)),
        (MONTH, datetime(2026, 12, 31, tzinfo=UTC), "2026-12-01", datetime(2027, 1, 1, tzinfo=UTC)),
        (TOTAL, NOON, "", None),
    ],
)
def test_windows_are_of_the_calendar(window: Window, now: datetime, since: str, end: datetime | None) -> None:
    at = windows.moment(now, "")
    assert windows.span(window, False, at) == (since, LATEST)
    assert windows.ends(window, False, at) == end


@pytest.mark.parametrize(
    ("now", "zone", "day", "end"),
    [
        # Sao Paulo is three hours behind, all year
        ("2026-01-01T02:59", "America/Sao_Paulo", "2025-12-31", "2026-01-01T03:00"),
        ("2026-01-01T03:00", "America/Sao_Paulo", "2026-01-01", "2026-01-02T03:00"),
        # where clocks go forward a day has 23 hours, where they go back 25
        ("2026-03-29T12:00", "Europe/Lisbon", "2026-03-29", "2026-03-29T23:00"),
        ("2026-10-25T12:00", "Europe/Lisbon", "2026-10-25", "2026-10-26T00:00"),
        # clocks that went forward at midnight: the day began at one
        ("2018-11-03T12:00", "America/Sao_Paulo", "2018-11-03", "2018-11-04T03:00"),
        ("2026-06-01T18:20", "Asia/Kathmandu", "2026-06-02", "2026-06-02T18:15"),
    ],
)
def test_a_day_begins_and_ends_at_midnight_where_the_tenant_is(
    now: str, zone: str, day: str, end: str
) -> None:
    at = windows.moment(_utc(now), zone)
    assert windows.span(DAY, False, at) == (day, LATEST)
    assert windows.ends(DAY, False, at) == _utc(end)


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@given(
    st.integers(1_577_836_800, 1_893_456_000),
    st.sampled_from([(MINUTE, 60), (DAY, 86400), (MONTH, 30 * 86400)]),
    st.sampled_from(["", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Kiritimati"]),
    st.floats(0, 1),
)
def test_a_rolling_window_counts_all_that_is_younger_than_it_says(
    second: int, window: tuple[Window, int], zone: str, share: float
) -> None:
    kind, seconds = window
    now = datetime.fromtimestamp(second, UTC)
    at = windows.moment(now, zone)
    earlier = windows.moment(now - timedelta(seconds=seconds * share), zone)
    grains = windows.fine(Budget(scope=TENANT, window=kind, rolling=True))
    since, until = windows.span(kind, True, at)
    counted = windows.periods(TENANT, earlier.day, earlier.at_us, grains)
    assert any(since <= period <= until for period in counted)
    end = windows.ends(kind, True, at)
    assert end is not None
    gone = windows.span(kind, True, windows.moment(end + timedelta(days=1), zone))
    assert not any(gone.since <= period <= gone.until for period in counted)


def test_finer_periods_are_kept_for_those_who_need_them_alone() -> None:
    grains = windows.fine(Budget(scope=KEY, window=MINUTE)) | windows.fine(Budget(scope=TENANT, window=DAY))
    assert windows.periods(TENANT, "2026-01-01", 0, grains) == ["2026-01-01"]
    assert windows.periods(KEY, "2026-01-01", 60_000_000, grains) == ["2026-01-01", "m00000000001"]


@pytest.mark.parametrize(
    ("asked", "denied_limit", "may_free"),
    [
        ([(_status(100, 60, 40), 0)], None, None),  # what costs nothing is never denied
        ([(_status(100, 60, 30), 10)], None, None),  # to the last micro-dollar
        ([(_status(100, 60, 30), 11)], 100, True),  # 30 may come back
        ([(_status(100, 60, 30), 40)], 100, True),  # if all of it comes back, just so
        ([(_status(100, 90, 5), 11)], 100, False),  # even all of it would not do
        ([(_status(100, 0, 95), 10), (_status(200, 0, 199), 10)], 200, True),  # the tighter one
        ([(_status(100, 0, 95), 10), (_status(200, 195, 0), 10)], 200, False),  # the hopeless one
        ([(_status(100, 0, 95), 10), (_status(200, 0, 0), 10)], 100, True),  # only what lacks room
        ([(_status(0), 1)], 0, False),  # a limit of zero stops all spending
        ([(_status(100, 130), 1)], 100, False),  # after an overrun
    ],
)
def test_a_denial_names_the_limit_that_stands_in_the_way(
    asked: list[tuple[BudgetStatus, int]], denied_limit: int | None, may_free: bool | None
) -> None:
    denied = budget.denial(asked)
    if denied_limit is None:
        assert denied is None
    else:
        assert denied is not None
        assert (denied.budget.budget.limit_microusd, denied.may_free) == (denied_limit, may_free)
        assert denied.wanted_microusd == asked[0][1]


SOMEBODY = Who("t", "k", "u", 0)


def _in_force(set_budgets: list[Budget], who: Who = SOMEBODY) -> dict[tuple[Scope, str, Window], int]:
    found = budget.rules(set_budgets, who, BudgetPolicy(), windows.moment(NOON, ""), House(25, 50))
    return {
        (s.budget.scope, s.budget.scope_id, s.budget.window): s.budget.limit_microusd
        for s, _, _ in found.limits
    } | {(Scope.SCOPE_REQUEST, "", TOTAL): found.request_microusd}


REQUEST_50 = {(Scope.SCOPE_REQUEST, "", TOTAL): 50}


def test_every_tenant_has_a_daily_budget_until_it_sets_its_own() -> None:
    monthly = Budget(scope=TENANT, window=MONTH, limit_microusd=7)
    key_daily = Budget(scope=KEY, scope_id="k", window=DAY, limit_microusd=8)
    daily = Budget(scope=TENANT, window=DAY, limit_microusd=9)
    assert _in_force([]) == {(TENANT, "", DAY): 25} | REQUEST_50
    assert (
        _in_force([monthly, key_daily])
        == {
            (TENANT, "", MONTH): 7,
            (KEY, "k", DAY): 8,
            (TENANT, "", DAY): 25,
        }
        | REQUEST_50
    )
    assert _in_force([daily]) == {(TENANT, "", DAY): 9} | REQUEST_50


@pytest.mark.parametrize("own_first", [True, False])
def test_a_budget_for_each_gives_way_to_ones_own(own_first: bool) -> None:
    each = Budget(scope=Scope.SCOPE_USER, scope_id="*", window=DAY, limit_microusd=3)
    own = Budget(scope=Scope.SCOPE_USER, scope_id="u", window=DAY, limit_microusd=4)
    both = [own, each] if own_first else [each, own]
    assert _in_force(both)[Scope.SCOPE_USER, "u", DAY] == 4
    assert _in_force(both, Who("t", "k", "other", 0))[Scope.SCOPE_USER, "other", DAY] == 3


def test_a_run_keeps_the_tighter_of_its_own_limit_and_its_tenants_for_each_run() -> None:
    each = Budget(scope=Scope.SCOPE_RUN, scope_id="*", window=TOTAL, limit_microusd=10)
    found = _in_force([each], Who("t", "k", "u", 0, run_limits={"tight": 5, "wide": 50}))
    assert (found[Scope.SCOPE_RUN, "tight", TOTAL], found[Scope.SCOPE_RUN, "wide", TOTAL]) == (5, 10)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (Budget(scope=TENANT, scope_id="k"), "scope_id"),
        (Budget(scope=KEY), "scope_id"),
        (Budget(scope=Scope.SCOPE_RUN, scope_id="r", window=TOTAL), "scope_id"),
        (Budget(scope=Scope.SCOPE_RUN, scope_id="*", window=DAY), "window"),
        (Budget(scope=Scope.SCOPE_REQUEST, window=DAY), "window"),
        (Budget(scope=TENANT, window=TOTAL, rolling=True), "rolling"),
    ],
)
def test_a_budgets_parts_must_fit_each_other(wrong: Budget, field: str) -> None:
    with pytest.raises(MalhaError) as refusal:
        budget.check(wrong)
    assert refusal.value.violations[0][0] == f"budget.{field}"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "America", "../etc/passwd", "UTC\0"])
def test_a_time_zone_that_does_not_exist_is_refused_by_field(zone: str) -> None:
    with pytest.raises(MalhaError) as refusal:
        budget.check_policy(BudgetPolicy(time_zone=zone))
    assert refusal.value.violations[0][0] == "policy.time_zone"


@pytest.mark.parametrize("zone", ["localtime", "posixrules", "right/UTC"])
def test_a_time_zone_that_only_some_machines_have_is_refused(zone: str, tmp_path: Path) -> None:
    """Another replica would have other days, or none."""
    of_this_machine = tmp_path / zone
    of_this_machine.parent.mkdir(exist_ok=True)
    of_this_machine.write_bytes(resources.files("tzdata").joinpath("zoneinfo", "UTC").read_bytes())
    zoneinfo.reset_tzpath([tmp_path])
    try:
        with pytest.raises(MalhaError, match="time zone"):
            budget.check_policy(BudgetPolicy(time_zone=zone))
    finally:
        zoneinfo.reset_tzpath()


@pytest.mark.parametrize("zone", ["", "UTC", "America/Sao_Paulo", "America/Argentina/Ushuaia", "GMT0"])
def test_a_time_zone_of_the_iana_database_is_kept_by(zone: str) -> None:
    budget.check_policy(BudgetPolicy(time_zone=zone))


@pytest.mark.parametrize(
    ("spent", "level"),
    [
        (79, Level.LEVEL_OPEN),
        (80, Level.LEVEL_WARNED),
        (94, Level.LEVEL_WARNED),
        (95, Level.LEVEL_BRAKED),
        (100, Level.LEVEL_USED_UP),
    ],
)
def test_a_budget_warns_at_80_and_brakes_at_95_percent(spent: int, level: Level) -> None:
    policy = budget.resolved(None, House(25))
    assert budget.level(_status(100, spent), policy) == level


@given(
    st.integers(0, 10**7),
    st.integers(0, 10**12),
    st.integers(0, 10**12),
    st.integers(0, 10**6),
    st.integers(1, 10**6),
)
def test_the_largest_output_that_fits_is_the_largest(
    room: int, input_rate: int, output_rate: int, input_tokens: int, most: int
) -> None:
    rates = Rates(input_rate, input_rate, output_rate)
    fits = rates.output_within(room, input_tokens, most)
    assert 0 <= fits <= most
    if fits:
        assert rates.ceiling(input_tokens, fits) <= room
    if fits < most:
        assert rates.ceiling(input_tokens, fits + 1) > room


def test_room_is_kept_for_a_run_until_it_is_over_or_not_heard_of() -> None:
    open_runs, here = OpenRuns(seconds=1.0), Account("t", TENANT, "")
    open_runs.keep("a", [here], 30, now=0.0)
    open_runs.keep("b", [here], 5, now=0.0)
    open_runs.keep("a", [here], 20, now=0.5)  # in place of the 30
    assert open_runs.kept(here, now=0.9) == 25
    assert open_runs.kept(here, now=1.0) == 20  # b was not heard of
    open_runs.close("a")
    assert open_runs.kept(here, now=1.0) is None
    assert open_runs.kept(Account("other", TENANT, ""), now=0.0) is None


def test_nothing_is_remembered_of_runs_that_are_gone() -> None:
    open_runs = OpenRuns(seconds=1.0)
    for number in range(1000):
        account = Account(f"t{number}", TENANT, "")
        open_runs.keep(f"r{number}", [account], 7, now=0.0)
        assert open_runs.kept(account, now=2.0) is None
    assert not (open_runs._rooms)
    assert not (open_runs._kept)
    assert not (open_runs._runs)
