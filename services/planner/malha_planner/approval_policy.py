"""When an agent's calls need people's leave, as its file declares it.

A tool says what its calls can do; an agent may take them for riskier, never for safer. What cannot wait
for a person is allowed beforehand, within limits: which tool, which arguments, how often, at what cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator
from referencing.exceptions import Unresolvable

from malha.api.run.v1.record_pb2 import Risk
from malha.api.tools.v1.tool_pb2 import Tool


@dataclass(frozen=True, slots=True)
class Preauthorisation:
    """Calls that need nobody's leave though their risk would."""

    name: str
    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """A JSON Schema (2020-12) that the arguments must satisfy; an empty one allows any."""
    max_uses: int = 1
    """Calls in one run."""
    max_cost_microusd: int | None = None
    """What those calls may cost together; None: the run's own limit alone."""

    def covers(self, tool: Tool, arguments: Any, used: int) -> bool:
        """Whether one more call is allowed after `used` others in the run."""
        return (
            tool.name == self.tool
            and used < self.max_uses
            and (self.max_cost_microusd is None or (used + 1) * tool.price_microusd <= self.max_cost_microusd)
            and fits(self.arguments, arguments)
        )


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """What one version of an agent declares about approvals."""

    version: str = "none"
    """Names the agent, its version, and all that is declared here; part of what is approved."""
    risks: Mapping[str, Risk] = field(default_factory=dict)
    """Tools that this agent takes for riskier than they say, by name."""
    expires_seconds: int = 24 * 3600
    rejection_ends_run: bool = False
    """Else the model is told, and goes on."""
    initiator_may_approve: Risk = Risk.RISK_HIGH
    """The greatest risk at which who started the run may be among those who approve."""
    preauthorisations: tuple[Preauthorisation, ...] = ()

    def risk(self, tool: Tool) -> Risk:
        """The greater of what the tool and the agent say."""
        return max(tool.risk, self.risks.get(tool.name, Risk.RISK_LOW), Risk.RISK_LOW)


def fits(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether the value is valid against a JSON Schema; nothing is against one that points to what is not
    there, nor is what is nested too deeply to be compared."""
    try:
        return bool(Draft202012Validator(schema).is_valid(value))
    except (Unresolvable, RecursionError):
        return False
