"""Names of a run and its steps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.run import Position, parse_position, parse_step_key, run_id_for, step_key, subject
from malha.run.keys import RUN_ID

tenants = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True)
RUN = run_id_for("acme", "k")


@given(tenants, st.text())
def test_the_same_key_of_one_tenant_always_finds_the_same_run(tenant: str, key: str) -> None:
    assert run_id_for(tenant, key) == run_id_for(tenant, key)
    assert RUN_ID.fullmatch(run_id_for(tenant, key))


@given(tenants, tenants, st.text())
def test_equal_keys_of_two_tenants_never_meet(one: str, other: str, key: str) -> None:
    assert (run_id_for(one, key) == run_id_for(other, key)) == (one == other)


def test_the_split_between_tenant_and_key_counts() -> None:
    assert run_id_for("ab", "c") != run_id_for("a", "bc")


def test_without_a_key_every_run_is_new() -> None:
    assert run_id_for("acme", None) != run_id_for("acme", None)
    assert run_id_for("acme", "") == run_id_for("acme", "")


@pytest.mark.parametrize(
    ("tenant", "run_id"),
    [
        ("acme.evil", RUN),
        ("*", RUN),
        (">", RUN),
        ("", RUN),
        ("Acme", RUN),
        ("acme", "*"),
        ("acme", RUN + "a"),
        ("a\n", RUN),
    ],
)
def test_no_text_reaches_beyond_its_own_subject(tenant: str, run_id: str) -> None:
    with pytest.raises(ValueError, match="not a tenant"):
        subject(tenant, run_id)


@given(tenants, st.integers(1, 5000), st.integers(0), st.integers(1, 1000))
def test_step_keys_are_read_back_as_written(tenant: str, step: int, epoch: int, leg: int) -> None:
    assert parse_step_key(step_key(tenant, RUN, step, epoch, leg)) == (tenant, RUN, step, epoch, leg)


@pytest.mark.parametrize(
    "key",
    ["", "a/b", f"acme/{RUN}/1/2", f"acme/{RUN}/1/2/3/4", f"acme/{RUN}/0/2/1", f"acme/{RUN}/1/2/0",
     f"acme/{RUN}/01/2/1", f"acme/{RUN}/+1/2/1", f"acme/{RUN}/1/٢/1", f"acme/{RUN}/-1/2/1", "acme/x/1/2/1"],
)  # fmt: skip
def test_a_key_has_one_spelling(key: str) -> None:
    with pytest.raises(ValueError, match="not a step key"):
        parse_step_key(key)


@given(st.integers(0), st.integers(0), st.integers(0), st.integers(0))
def test_positions_order_as_the_journal_does(a: int, b: int, c: int, d: int) -> None:
    one, other = Position(a, b), Position(c, d)
    assert (one < other) == ((a, b) < (c, d))
    assert parse_position(str(one)) == one


@pytest.mark.parametrize("text", ["", "1", "1.", ".1", "1.2.3", "-1.2", "a.b", "٢.1"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a position"):
        parse_position(text)
