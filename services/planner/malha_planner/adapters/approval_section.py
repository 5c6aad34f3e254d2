"""The sections `approvals` and `preauthorised` of an agent file."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import BaseModel, ConfigDict, Field, StrictInt, field_validator

from malha.api.run.v1.record_pb2 import Risk
from malha_planner.approval_policy import ApprovalPolicy, Preauthorisation

_ToolName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
_RISKS = {
    "never": Risk.RISK_LOW,
    "low": Risk.RISK_LOW,
    "medium": Risk.RISK_MEDIUM,
    "high": Risk.RISK_HIGH,
    "critical": Risk.RISK_CRITICAL,
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Approvals(_Strict):
    """How people are asked."""

    risk: dict[_ToolName, Literal["low", "medium", "high", "critical"]] = {}
    expires_seconds: Annotated[StrictInt, Field(ge=1, le=90 * 24 * 3600)] = 24 * 3600
    on_rejection: Literal["tell_agent", "end_run"] = "tell_agent"
    initiator_may_approve: Literal["never", "high", "critical"] = "high"


class Preauthorised(_Strict):
    """A call that is allowed beforehand."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    tool: _ToolName
    arguments: dict[str, Any]
    max_uses: Annotated[StrictInt, Field(ge=1, le=1000)]
    max_cost_microusd: Annotated[StrictInt, Field(ge=0, le=10**12)] | None = None

    @field_validator("arguments")
    @classmethod
    def _is_schema(cls, schema: dict[str, Any]) -> dict[str, Any]:
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise ValueError(f"not a JSON Schema: {error.message}") from None
        return schema


def approval_policy(
    agent: str, version: str, approvals: Approvals, preauthorised: list[Preauthorised]
) -> ApprovalPolicy:
    """The policy of one version of an agent. Its own version changes with every word declared here."""
    declared = {
        "approvals": approvals.model_dump(),
        "preauthorised": [one.model_dump() for one in preauthorised],
    }
    digest = hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:16]
    return ApprovalPolicy(
        version=f"{agent}/{version}/{digest}",
        risks={tool: _RISKS[risk] for tool, risk in approvals.risk.items()},
        expires_seconds=approvals.expires_seconds,
        rejection_ends_run=approvals.on_rejection == "end_run",
        initiator_may_approve=_RISKS[approvals.initiator_may_approve],
        preauthorisations=tuple(
            Preauthorisation(one.name, one.tool, one.arguments, one.max_uses, one.max_cost_microusd)
            for one in preauthorised
        ),
    )
