"""What a run must pass, rule by rule."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from malha.api.cost.v1.budget_pb2 import Budget, BudgetStatus, Level, Scope, Window
from malha.api.gateway.v1.run_service_pb2 import CreateRunRequest, RunAndWaitRequest, RunLimitsRequest
from malha.api.guard.v1.guard_service_pb2 import Judgement
from malha.api.planner.v1.agent_pb2 import Agent
from malha.api.run.v1.record_pb2 import Action, RunLimits, Verdict
from malha.errors import ErrorReason, MalhaError
from malha.wire.codec import to_status
from malha_gateway.admission import (
    check_budgets,
    check_input,
    check_judgement,
    choose_agent,
    request_hash,
    resolve_limits,
)

AGENTS = [Agent(name="default", is_default=True), Agent(name="prices")]
MESH = RunLimits(
    max_iterations=5, max_cost_microusd=500_000, max_wall_time=Duration(seconds=120), max_output_tokens=2048
)


@pytest.mark.parametrize("text", ["", "   \n", "x" * 2001])
def test_a_blank_or_long_input_is_refused_by_the_field_s_name(text: str) -> None:
    with pytest.raises(MalhaError) as raised:
        check_input(text, 2000)
    assert raised.value.reason == ErrorReason.ERROR_REASON_FIELD_INVALID
    assert raised.value.violations[0][0] == "input"


def test_2000_characters_pass_whatever_their_bytes() -> None:
    check_input("ã" * 2000, 2000)


def test_an_agent_is_chosen_by_name_or_by_default() -> None:
    assert choose_agent(AGENTS, "prices").name == "prices"
    assert choose_agent(AGENTS, "").name == "default"


def test_an_unknown_agent_is_answered_with_those_within_reach() -> None:
    with pytest.raises(MalhaError) as raised:
        choose_agent(AGENTS, "sales")
    assert raised.value.reason == ErrorReason.ERROR_REASON_AGENT_NOT_FOUND
    assert raised.value.metadata["agents"] == "default, prices"
    assert "default, prices" in raised.value.message


def test_among_hundreds_of_agents_the_refusal_of_an_unknown_one_still_fits_the_trailers_of_grpc() -> None:
    with pytest.raises(MalhaError) as raised:
        choose_agent([Agent(name=f"{number:03}{'x' * 61}") for number in range(300)], "sales")
    assert raised.value.message.endswith(" and 280 more")
    in_base64 = len(to_status(raised.value).SerializeToString()) * 4 / 3
    assert in_base64 + len(raised.value.message) < 7 * 1024


@given(
    asked=st.tuples(*[st.integers(0, 200)] * 4),
    agent=st.tuples(*[st.integers(0, 200)] * 4),
)
def test_a_caller_tightens_limits_and_never_widens_them(
    asked: tuple[int, ...], agent: tuple[int, ...]
) -> None:
    of_agent = RunLimits(
        max_iterations=agent[0],
        max_cost_microusd=agent[1],
        max_wall_time=Duration(seconds=agent[2]),
        max_output_tokens=agent[3],
    )
    wanted = RunLimitsRequest(
        max_iterations=asked[0],
        max_cost_microusd=asked[1],
        max_wall_time_seconds=asked[2],
        max_output_tokens=asked[3],
    )
    limits = resolve_limits(wanted, of_agent, MESH)
    got = (
        limits.max_iterations,
        limits.max_cost_microusd,
        limits.max_wall_time.seconds,
        limits.max_output_tokens,
    )
    for result, from_caller, from_agent, from_mesh in zip(
        got, asked, agent, (5, 500_000, 120, 2048), strict=True
    ):
        allowed = from_agent or from_mesh
        assert 0 < result <= allowed
        assert result == min(from_caller or allowed, allowed)


def test_a_blocked_input_says_where_and_by_which_rule() -> None:
    verdict = Verdict(action=Action.ACTION_BLOCK, rules=["injection.pt"], policy="v1")
    with pytest.raises(MalhaError) as raised:
        check_judgement(Judgement(verdict=verdict, message="asks to ignore instructions"))
    assert raised.value.reason == ErrorReason.ERROR_REASON_GUARD_BLOCKED
    assert raised.value.metadata == {"stage": "input", "rule": "injection.pt", "policy": "v1"}


def test_a_verdict_that_says_nothing_is_no_permission() -> None:
    with pytest.raises(MalhaError):
        check_judgement(Judgement())


def budget(limit: int, spent: int, reserved: int = 0) -> BudgetStatus:
    of = Budget(scope=Scope.SCOPE_TENANT, window=Window.WINDOW_DAY, limit_microusd=limit)
    return BudgetStatus(budget=of, spent_microusd=spent, reserved_microusd=reserved)


def test_a_budget_without_a_cent_left_refuses_with_its_quota() -> None:
    with pytest.raises(MalhaError) as raised:
        check_budgets([budget(100, 0), budget(1_000_000, 1_000_000)])
    assert raised.value.reason == ErrorReason.ERROR_REASON_BUDGET_EXCEEDED
    assert raised.value.quota is not None
    assert raised.value.metadata["limit_microusd"] == "1000000"


def test_a_budget_of_nothing_stops_everything() -> None:
    with pytest.raises(MalhaError):
        check_budgets([budget(0, 0)])


def test_a_brake_lets_no_run_begin_and_says_what_is_left() -> None:
    status = budget(1_000_000, 950_000)
    status.level = Level.LEVEL_BRAKED
    with pytest.raises(MalhaError) as raised:
        check_budgets([status])
    assert raised.value.metadata["left_microusd"] == "50000"
    assert "kept for runs that have begun" in raised.value.message


def test_money_that_is_merely_reserved_refuses_nobody() -> None:
    check_budgets([budget(100, 99, 1)])


def test_the_hash_tells_bodies_apart_and_ignores_the_key_and_the_rpc() -> None:
    asked = CreateRunRequest(input="a", agent="b", idempotency_key="k")
    assert request_hash(asked) == request_hash(CreateRunRequest(input="a", agent="b", idempotency_key="l"))
    waited = RunAndWaitRequest(input="a", agent="b", idempotency_key="k").SerializeToString()
    assert request_hash(asked) == request_hash(CreateRunRequest.FromString(waited))
    assert request_hash(asked) != request_hash(CreateRunRequest(input="ab", idempotency_key="k"))
