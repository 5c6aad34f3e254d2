"""A run stops to wait for people, and hears what they said.

A run that waits holds nothing: no worker, no reservation. All it waits for stands in its journal, and
whoever claims it after a decision goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from malha.api.cost.v1.cost_service_pb2 import Settlement
from malha.api.run.v1.chat_pb2 import ToolCall
from malha.api.run.v1.record_pb2 import (
    Abandonment,
    Content,
    Decision,
    JournalEvent,
    Parked,
    ParkReason,
    Proposed,
    StepOutcome,
    StepStarted,
)
from malha.api.tools.v1.tool_pb2 import Tool
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.errors import ErrorReason, MalhaError, Reason
from malha.run import Proposal, Ruling, Standing
from malha_planner.claimed import ClaimedRun
from malha_planner.leave import Wait, summary


class ParkedRun(Exception):  # noqa: N818 - a turn of events, not an error
    """The run waits for people; the record that says so was stored."""


async def park_for_leave(
    run: ClaimedRun, waiting: Sequence[tuple[Wait, ToolCall]], offered: Mapping[str, Tool]
) -> None:
    """Ask people about all these calls at once, and stop. Raises ParkedRun."""
    for wait, call in waiting:
        if not wait.asked:
            await tell(run, wait.proposed, offered[call.tool], call)
    await run.purse.settle()
    first = min((wait.proposed.expire_time for wait, _ in waiting), key=lambda time: time.ToNanoseconds())
    parked = Parked(reason=ParkReason.PARK_REASON_APPROVAL, wake_at=first)
    run.lease.notes.add(JournalEvent(parked=parked))
    await run.lease.write()
    raise ParkedRun


async def tell(run: ClaimedRun, proposed: Proposed, tool: Tool, call: ToolCall) -> None:
    """Note what people are shown of a call."""
    text = (await run.screen.output(summary(tool, call.arguments_json))).text
    run.lease.notes.add(
        JournalEvent(proposed=proposed), Content(text=text, arguments_json=call.arguments_json or "{}")
    )


async def park_for_outcomes(run: ClaimedRun, unknown: Sequence[StepStarted]) -> None:
    """Stop until a person says what became of these calls, which are paid for meanwhile: one after the
    other. Raises ParkedRun."""
    unknown = sorted(unknown, key=lambda started: started.step)
    for started in unknown:
        run.purse.owe(started, Settlement(at_ceiling=True))
    if not unknown:
        return
    await run.purse.settle()
    parked = Parked(reason=ParkReason.PARK_REASON_OUTCOME_UNKNOWN, key=unknown[0].key)
    run.lease.notes.add(JournalEvent(parked=parked))
    await run.lease.write()
    raise ParkedRun


async def withheld(run: ClaimedRun, proposal: Proposal) -> ToolResult:
    """What the model is told of a call that people did not let through. Raises MalhaError where that
    ends the run."""
    proposed = proposal.proposed
    metadata = {"tool": proposed.tool}
    if proposal.standing is Standing.OPEN:
        reason: Reason = ErrorReason.ERROR_REASON_APPROVAL_EXPIRED
        text = f"Nobody decided in time whether {proposed.tool} may be called."
        metadata["expire_time"] = proposed.expire_time.ToJsonString()
        ends = proposed.rejection_ends_run
    else:
        ruling = proposal.rulings[-1]
        reason = ErrorReason.ERROR_REASON_APPROVAL_REJECTED
        text = f"A person did not let {proposed.tool} be called{await _comment(run, ruling)}"
        metadata["by"] = ruling.decided.by
        ends = proposal.standing is Standing.ENDED
    if ends:
        raise MalhaError(reason, text, metadata=metadata)
    return ToolResult(
        outcome=StepOutcome.STEP_OUTCOME_BLOCKED,
        error_reason=MalhaError(reason, text).reason_name,
        error_text=f"{text} It was not called. Do not ask for the same call again.",
    )


async def told(run: ClaimedRun, started: StepStarted) -> ToolResult | Abandonment | None:
    """What a person said became of a call of unknown outcome; None where nobody said anything."""
    ruling = run.lease.state.outcomes.get(started.key)
    if ruling is None:
        return None
    match ruling.decided.decision:
        case Decision.DECISION_HAPPENED:
            words = await run.lease.opened("decided", ruling.words)
            return ToolResult(
                outcome=StepOutcome.STEP_OUTCOME_OK,
                text=words.text,
                price_microusd=started.reserved_microusd,
            )
        case Decision.DECISION_DID_NOT_HAPPEN:
            return Abandonment.ABANDONMENT_TOMBSTONED
        case _:
            ended = f"the run was ended{await _comment(run, ruling)}"
            raise MalhaError(
                ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN,
                f"Whether {started.name} took effect is not known; {ended}",
                metadata={"tool": started.name, "by": ruling.decided.by},
            )


async def _comment(run: ClaimedRun, ruling: Ruling) -> str:
    comment = (await run.lease.opened("decided", ruling.words)).comment
    return f": {comment}" if comment else "."
