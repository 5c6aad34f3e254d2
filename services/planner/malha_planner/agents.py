"""An agent is declared, not coded: what it is told, what it may call, how far it may go.

Its public part is the contract's `Agent` message, the card; the rest stays in the planner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.planner.v1.agent_pb2 import Agent as Card
from malha.api.tools.v1.tool_pb2 import Tool
from malha.errors import ConfigurationError, ErrorReason, MalhaError
from malha_planner.approval_policy import ApprovalPolicy

HARMLESS = "*harmless"
"""Stands in an agent's list of tools for every tool that is declared harmless."""


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent as its file declares it."""

    card: Card
    """What callers may know; `card.model` is "<provider>/<name>"."""
    prompt: str
    """Its instructions to the model."""
    approvals: ApprovalPolicy = field(default_factory=ApprovalPolicy)
    """When its calls need people's leave."""
    min_output_tokens: int = 0
    """Output of a model call that would do where money for more is short; zero: all or nothing."""

    @property
    def name(self) -> str:
        return self.card.name

    def offer(self, tools: Iterable[Tool]) -> list[Tool]:
        """Those of the tools within the principal's reach that this agent may call, by name."""
        named = set(self.card.tools)
        every = HARMLESS in named
        return sorted(
            (tool for tool in tools if tool.name in named or (every and tool.harmless)),
            key=lambda tool: tool.name,
        )

    def serves(self, principal: Principal) -> bool:
        """Whether the principal's tier reaches this agent."""
        return max(principal.tier, Tier.TIER_FREE) >= self.card.min_tier


class Catalogue:
    """The agents of this planner, the default first."""

    def __init__(self, agents: Sequence[Agent], *, default: str) -> None:
        """Raises ValueError where two agents share a name or the default is not among them."""
        self._agents = {agent.name: agent for agent in agents}
        if len(self._agents) != len(agents):
            names = [agent.name for agent in agents]
            raise ConfigurationError(f"two agents are named {next(n for n in names if names.count(n) > 1)!r}")
        if default not in self._agents:
            there_are = ", ".join(sorted(self._agents))
            raise ConfigurationError(f"the default agent {default!r} is none of {there_are}")
        self.default = self._agents[default]
        self.default.card.is_default = True

    def within_reach(self, principal: Principal) -> list[Agent]:
        """The agents the principal may use, the default first, then by name."""
        mine = [agent for agent in self._agents.values() if agent.serves(principal)]
        return sorted(mine, key=lambda agent: (not agent.card.is_default, agent.name))

    def get(self, name: str, principal: Principal) -> Agent:
        """The agent of that name. Raises AGENT_NOT_FOUND naming those the principal may use."""
        agent = self._agents.get(name)
        if agent is not None and agent.serves(principal):
            return agent
        names = ", ".join(agent.name for agent in self.within_reach(principal))
        raise MalhaError(
            ErrorReason.ERROR_REASON_AGENT_NOT_FOUND,
            f"there is no agent {name!r}; you may use {names}",
            metadata={"agents": names},
        )

    def models(self) -> set[str]:
        """The models its agents name, as "<provider>/<name>"."""
        return {agent.card.model for agent in self._agents.values()}
