"""Agents from YAML files, read once at the start and checked to the last key.

A file with a fault stops the start, and the message says file, field and fault: a misspelt limit
that silently meant "no limit" would be found by the bill.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError, model_validator

from malha import strict_yaml
from malha.api.planner.v1.agent_pb2 import Agent as Card
from malha.errors import ConfigurationError
from malha_planner.adapters.approval_section import Approvals, Preauthorised, approval_policy
from malha_planner.agents import HARMLESS, Agent

SHIPPED = Path(__file__).parent.parent / "agents"


class AgentFileError(ConfigurationError):
    """An agent file that cannot be used; the text names file and field."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Model(_Strict):
    provider: Annotated[str, Field(min_length=1, pattern=r"^[a-z0-9_-]+$")]
    name: Annotated[str, Field(min_length=1)]


class _Limits(_Strict):
    max_iterations: Annotated[StrictInt, Field(ge=1, le=100)] = 5
    max_cost_microusd: Annotated[StrictInt, Field(ge=0, le=10**12)] = 500_000
    max_wall_time_seconds: Annotated[StrictInt, Field(ge=1, le=7 * 24 * 3600)] = 120
    max_output_tokens: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 1024
    max_model_time_seconds: Annotated[StrictInt, Field(ge=1, le=3600)] = 60
    min_output_tokens: Annotated[StrictInt, Field(ge=0, le=1_000_000)] = 0


class _AgentFile(_Strict):
    """The keys of an agent file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    version: Annotated[str, Field(min_length=1, max_length=32)]
    description: Annotated[str, Field(min_length=1, max_length=500)]
    prompt: Annotated[str, Field(min_length=1, max_length=20_000)]
    strategy: Literal["react"] = "react"
    tools: Annotated[
        list[Annotated[str, Field(pattern=r"^(\*harmless|[a-z][a-z0-9_]{0,63})$")]], Field()
    ] = []
    model: _Model | None = None
    limits: _Limits = _Limits()
    min_tier: Literal["free", "pro", "enterprise"] = "free"
    work_class: Literal["interactive", "batch", "cpu"] = "interactive"
    approvals: Approvals = Approvals()
    preauthorised: list[Preauthorised] = []

    @model_validator(mode="after")
    def _sound(self) -> _AgentFile:
        if len({one.name for one in self.preauthorised}) != len(self.preauthorised):
            raise ValueError("preauthorised: two have the same name")
        if self.limits.min_output_tokens > self.limits.max_output_tokens:
            raise ValueError("limits.min_output_tokens: is not above max_output_tokens")
        named = {*self.approvals.risk, *(one.tool for one in self.preauthorised)}
        if HARMLESS not in self.tools and (strange := sorted(named - set(self.tools))):
            raise ValueError(f"approvals, preauthorised: {', '.join(strange)}: not among the agent's tools")
        return self


def read_agents(folder: Path, *, default_model: str) -> list[Agent]:
    """Every agent of `folder` (*.yaml), by file name.

    Raises AgentFileError for the first file with a fault, or where there is no file at all.
    """
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise AgentFileError(f"{folder.name}: holds no agent file (*.yaml)")
    return [_read(file, default_model) for file in files]


def _read(file: Path, default_model: str) -> Agent:
    try:
        parsed = strict_yaml.parse(file.read_text(encoding="utf-8"))
    except ValueError as error:  # no UTF-8 either
        raise AgentFileError(f"{file.name}: not YAML: {error}") from None
    try:
        declared = _AgentFile.model_validate(parsed)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'file'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise AgentFileError(f"{file.name}: {faults}") from None
    policy = approval_policy(declared.name, declared.version, declared.approvals, declared.preauthorised)
    return Agent(
        _card(declared, default_model),
        declared.prompt.strip(),
        policy,
        min_output_tokens=declared.limits.min_output_tokens,
    )


def _card(declared: _AgentFile, default_model: str) -> Card:
    model = declared.model
    card = Card(
        name=declared.name,
        version=declared.version,
        description=declared.description,
        strategy=declared.strategy,
        tools=declared.tools,
        model=f"{model.provider}/{model.name}" if model else default_model,
        min_tier=f"TIER_{declared.min_tier.upper()}",
        work_class=declared.work_class,
    )
    limits = declared.limits
    card.limits.max_iterations = limits.max_iterations
    card.limits.max_cost_microusd = limits.max_cost_microusd
    card.limits.max_wall_time.seconds = limits.max_wall_time_seconds
    card.limits.max_output_tokens = limits.max_output_tokens
    card.limits.max_model_time.seconds = limits.max_model_time_seconds
    return card
