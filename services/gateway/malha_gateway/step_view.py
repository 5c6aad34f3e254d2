"""A step of a run as its callers see it: what began, what came of it, what it cost."""

from __future__ import annotations

from malha.api.gateway.v1.run_pb2 import RunError, Step, StepStatus
from malha.api.run.v1.record_pb2 import Abandonment, Content, StepAbandoned, StepFinished, StepOutcome
from malha.run import RunState, StepState
from malha.timestamps import stamp
from malha_gateway.opening import Opening

_STATUS = {
    StepOutcome.STEP_OUTCOME_OK: StepStatus.STEP_STATUS_OK,
    StepOutcome.STEP_OUTCOME_FAILED: StepStatus.STEP_STATUS_FAILED,
    StepOutcome.STEP_OUTCOME_BLOCKED: StepStatus.STEP_STATUS_BLOCKED,
}
_CUT = "the model's answer was cut in the middle; what had come by then is counted and paid"
_GIVEN_UP = {
    Abandonment.ABANDONMENT_NO_ANSWER: (
        "MODEL_UNAVAILABLE",
        "the model was asked and did not answer; it may bill what it did, so the ceiling is paid",
    ),
    Abandonment.ABANDONMENT_UNKNOWN: ("OUTCOME_UNKNOWN", "it began, and nobody knows what came of it"),
}


class StepView:
    """Shows the steps of a run; of one whose key the run does not know, the key."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    async def all(self, state: RunState) -> list[Step]:
        """Every attempt, in order."""
        return [await self._whole(state, attempt) for attempt in state.steps]

    async def begun(self, state: RunState, key: str) -> Step:
        """An attempt as it began."""
        attempt = state.attempt(key)
        return await self._begun(state, attempt) if attempt else Step(key=key)

    async def ended(self, state: RunState, key: str) -> Step:
        """An attempt with what came of it."""
        attempt = state.attempt(key)
        return await self._whole(state, attempt) if attempt else Step(key=key)

    async def _begun(self, state: RunState, attempt: StepState) -> Step:
        started = attempt.started
        arguments = await self._opening.content(state, "step_started", attempt.arguments)
        return Step(
            step=attempt.step,
            key=attempt.key,
            kind=started.kind,
            name=started.name,
            status=StepStatus.STEP_STATUS_RUNNING,
            arguments_json=arguments.arguments_json,
            start_time=stamp(attempt.started_at),
            offered_tools=started.offered_tools,
        )

    async def _whole(self, state: RunState, attempt: StepState) -> Step:
        step = await self._begun(state, attempt)
        if attempt.finished is not None:
            content = await self._opening.content(state, "step_finished", attempt.result)
            _finish(step, attempt.finished, content)
        elif attempt.abandoned is not None:
            _give_up(step, attempt.abandoned)
        if attempt.cost is not None:
            step.cost.CopyFrom(attempt.cost)
        return step


def _finish(step: Step, finished: StepFinished, content: Content) -> None:
    step.status = _STATUS.get(finished.outcome, StepStatus.STEP_STATUS_FAILED)
    step.text = content.message.text or content.text
    step.tool_calls.extend(content.message.tool_calls)
    step.usage.CopyFrom(finished.usage)
    step.elapsed.CopyFrom(finished.elapsed)
    step.verdict.CopyFrom(finished.verdict)
    step.from_cache = finished.from_cache
    if finished.error_reason:
        step.error.CopyFrom(RunError(reason=finished.error_reason, message=content.error_text))


def _give_up(step: Step, abandoned: StepAbandoned) -> None:
    step.status = StepStatus.STEP_STATUS_ABANDONED
    step.usage.CopyFrom(abandoned.usage)
    if (why := _GIVEN_UP.get(abandoned.how)) is not None:
        counted = abandoned.HasField("usage")
        step.error.CopyFrom(RunError(reason=why[0], message=_CUT if counted else why[1]))
