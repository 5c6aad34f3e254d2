"""By whose leave a call is made: nobody's, a declaration's, or people's.

Pure: from the policy, the run's proposals and the journal's time follows whether a call goes, waits or
is withheld. So a worker that takes a run over after a decision finds what its predecessor asked for. An
approval holds for one step and one hash: other arguments, another version of the tool or of the
policy, and people are asked anew.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from malha.api.run.v1.chat_pb2 import ToolCall
from malha.api.run.v1.record_pb2 import Clearance, Proposed, Risk
from malha.api.tools.v1.tool_pb2 import Tool
from malha.run import APPROVALS_NEEDED, NoCanonicalFormError, Proposal, RunState, Standing, call_hash
from malha.timestamps import stamp
from malha_planner.approval_policy import ApprovalPolicy, fits

_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Go:
    """Make the call."""

    clearance: Clearance | None = None
    """By whose leave; None where it needs none."""
    notice: Proposed | None = None
    """What people are told of it, where they were not told yet."""


@dataclass(frozen=True, slots=True)
class Wait:
    """People are to decide."""

    proposed: Proposed
    asked: bool
    """Whether they were asked already."""


@dataclass(frozen=True, slots=True)
class Withhold:
    """The call may not be made: people said so, or nobody said anything in time."""

    proposal: Proposal


@dataclass(frozen=True, slots=True)
class Refuse:
    """The call cannot even be asked for."""

    text: str


Leave = Go | Wait | Withhold | Refuse


def used(state: RunState) -> Counter[str]:
    """How often each pre-authorisation was made use of in the run."""
    return Counter(one.proposed.preauthorisation for one in state.proposals)


def leave(
    policy: ApprovalPolicy,
    state: RunState,
    tool: Tool,
    call: ToolCall,
    step: int,
    *,
    now: datetime,
    uses: Counter[str],
) -> Leave:
    """What may become of the call.

    Args:
        now: the journal's time.
        uses: as `used` counts; a use that is granted here is counted in it.
    """
    risk = policy.risk(tool)
    if risk == Risk.RISK_LOW:
        return Go()
    try:
        arguments = orjson.loads(call.arguments_json or "{}")
    except orjson.JSONDecodeError:
        return Go()  # the tools service tells the model what is wrong, and runs nothing
    if not fits(json.loads(tool.input_schema_json), arguments):
        return Go()  # likewise: nobody is asked about a call that cannot be made
    try:
        exactly = call_hash(tool.name, tool.version, arguments, policy.version)
    except NoCanonicalFormError as error:
        return Refuse(f"the arguments cannot be approved: {error}")
    earlier = state.proposal(step)
    if earlier is not None:
        standing = earlier.standing
        open_ = standing is Standing.OPEN
        if standing in (Standing.REJECTED, Standing.ENDED) or (open_ and earlier.expired(now)):
            return Withhold(earlier)
        if earlier.proposed.hash == exactly:
            return (
                Wait(earlier.proposed, asked=True)
                if open_
                else Go(_clearance(earlier.proposed, earlier.approved_by))
            )
    proposed = Proposed(
        step=step,
        tool=tool.name,
        tool_version=tool.version,
        risk=risk,
        hash=exactly,
        policy=policy.version,
        preauthorisation=_preauthorised(policy, tool, arguments, risk, uses),
        rejection_ends_run=policy.rejection_ends_run,
        initiator_may_approve=risk <= policy.initiator_may_approve,
    )
    if risk in APPROVALS_NEEDED and not proposed.preauthorisation:
        proposed.approvals = APPROVALS_NEEDED[risk]
        proposed.expire_time.CopyFrom(stamp(now + timedelta(seconds=policy.expires_seconds)))
        return Wait(proposed, asked=False)
    return Go(_clearance(proposed), notice=proposed)


def summary(tool: Tool, arguments_json: str) -> str:
    """What would happen, for a person to read: the tool, what it is for, and each argument on a line."""
    lines = [f"{tool.name}: {tool.description}"]
    for name, value in orjson.loads(arguments_json or "{}").items():
        shown = _plain(json.dumps(value, ensure_ascii=False))
        cut = f"{shown[:_SHOWN]}… ({len(shown)} characters)" if len(shown) > _SHOWN else shown
        lines.append(f"  {name} = {cut}")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Without characters that are not seen, or that turn the order of those around them."""
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)


def _preauthorised(policy: ApprovalPolicy, tool: Tool, arguments: Any, risk: Risk, uses: Counter[str]) -> str:
    if risk in APPROVALS_NEEDED:
        for one in policy.preauthorisations:
            if one.covers(tool, arguments, uses[one.name]):
                uses[one.name] += 1
                return one.name
    return ""


def _clearance(proposed: Proposed, approved_by: Sequence[str] = ()) -> Clearance:
    return Clearance(
        risk=proposed.risk,
        hash=proposed.hash,
        policy=proposed.policy,
        approved_by=approved_by,
        preauthorisation=proposed.preauthorisation,
    )
