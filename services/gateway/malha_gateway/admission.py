"""What a run must pass before it is accepted, and the record that accepts it.

Pure decisions, each an answer or a MalhaError that tells the caller what to change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC

from malha.api.cost.v1.budget_pb2 import BudgetStatus, Level, Scope, Window
from malha.api.gateway.v1.run_service_pb2 import CreateRunRequest, RunLimitsRequest
from malha.api.guard.v1.guard_service_pb2 import Judgement
from malha.api.planner.v1.agent_pb2 import Agent
from malha.api.run.v1.record_pb2 import Action, RunLimits
from malha.errors import ErrorReason, MalhaError, invalid

_NAMED = 20
"""Agents that a refusal names: gRPC takes no more than 8 KiB of trailers, and else tells of their size."""


def request_hash(request: CreateRunRequest) -> bytes:
    """SHA-256 of what was asked for: all fields but the idempotency key itself."""
    asked = CreateRunRequest()
    asked.CopyFrom(request)
    asked.ClearField("idempotency_key")
    return hashlib.sha256(asked.SerializeToString(deterministic=True)).digest()


def check_input(text: str, max_characters: int) -> None:
    """Refuse what is blank or too long. The contract's own bounds are wider and were checked before."""
    if not text.strip():
        raise invalid("input", "is blank; ask something")
    if len(text) > max_characters:
        raise invalid("input", f"has {len(text):,} characters; at most {max_characters:,} are accepted")


def choose_agent(agents: Sequence[Agent], name: str) -> Agent:
    """The agent of that name, or the default one for an empty name, among those within reach.

    Raises:
        MalhaError: AGENT_NOT_FOUND, listing the first agents within reach.
    """
    for agent in agents:
        if agent.name == name or (not name and agent.is_default):
            return agent
    within_reach = ", ".join(agent.name for agent in agents[:_NAMED])
    others = f" and {len(agents) - _NAMED} more" if len(agents) > _NAMED else ""
    wanted = f'there is no agent "{name}"' if name else "there is no default agent"
    raise MalhaError(
        ErrorReason.ERROR_REASON_AGENT_NOT_FOUND,
        f"{wanted} within reach; you may use: {within_reach or 'none'}{others}",
        metadata={"agents": within_reach},
    )


def resolve_limits(asked: RunLimitsRequest, of_agent: RunLimits, otherwise: RunLimits) -> RunLimits:
    """The limits a run is accepted under; none is zero.

    The agent's own where it has them, the mesh's where not; the caller tightens and never widens.
    """
    agent_wall = of_agent.max_wall_time.seconds
    limits = RunLimits(
        max_iterations=_tighter(asked.max_iterations, of_agent.max_iterations or otherwise.max_iterations),
        max_cost_microusd=_tighter(
            asked.max_cost_microusd, of_agent.max_cost_microusd or otherwise.max_cost_microusd
        ),
        max_output_tokens=_tighter(
            asked.max_output_tokens, of_agent.max_output_tokens or otherwise.max_output_tokens
        ),
    )
    limits.max_wall_time.seconds = _tighter(
        asked.max_wall_time_seconds, agent_wall or otherwise.max_wall_time.seconds
    )
    limits.max_model_time.seconds = _tighter(
        asked.max_model_time_seconds, of_agent.max_model_time.seconds or otherwise.max_model_time.seconds
    )
    return limits


def check_judgement(judgement: Judgement, *, stage: str = "input") -> None:
    """Raise GUARD_BLOCKED for a text the guard withholds; nothing of it is repeated."""
    verdict = judgement.verdict
    if verdict.action in (Action.ACTION_ALLOW, Action.ACTION_FLAG, Action.ACTION_MASK):
        return
    raise MalhaError(
        ErrorReason.ERROR_REASON_GUARD_BLOCKED,
        judgement.message or "the text was refused by policy",
        metadata={"stage": stage, "rule": ",".join(verdict.rules), "policy": verdict.policy},
    )


def check_budgets(statuses: Sequence[BudgetStatus]) -> None:
    """Raise BUDGET_EXCEEDED where nothing is left or a brake is on, so that no run is begun in vain.

    Money that is merely reserved may come back, so it does not refuse: cost decides at each step.
    """
    for status in statuses:
        budget = status.budget
        left = budget.limit_microusd - status.spent_microusd
        if left > 0 and status.level != Level.LEVEL_BRAKED:
            continue
        scope = Scope.Name(budget.scope).removeprefix("SCOPE_").lower()
        window = Window.Name(budget.window).removeprefix("WINDOW_").lower()
        over = "used up" if left <= 0 else "nearly used up, and kept for runs that have begun"
        description = f"the {scope}'s budget of {_usd(budget.limit_microusd)} ({window}) is {over}"
        metadata = {
            "scope": scope,
            "window": window,
            "limit_microusd": str(budget.limit_microusd),
            "left_microusd": str(max(0, left)),
        }
        if status.HasField("resets_at"):
            metadata["resets_at"] = status.resets_at.ToDatetime(tzinfo=UTC).isoformat()
        raise MalhaError(
            ErrorReason.ERROR_REASON_BUDGET_EXCEEDED,
            description,
            metadata=metadata,
            quota=(scope, description),
        )


def _tighter(asked: int, allowed: int) -> int:
    return min(asked, allowed) if asked else allowed


def _usd(microusd: int) -> str:
    return f"{microusd / 1_000_000:.6f} USD"
