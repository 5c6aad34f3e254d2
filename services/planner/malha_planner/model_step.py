"""One call of the model: reserve at the ceiling, write the intention, call, guard, note the reply."""

from __future__ import annotations

import random

from malha.api.cost.v1.cost_service_pb2 import ModelCall, Settlement
from malha.api.run.v1.record_pb2 import (
    Abandonment,
    Action,
    Content,
    JournalEvent,
    RunLimits,
    StepFinished,
    StepKind,
    StepOutcome,
    StepStarted,
)
from malha.errors import ErrorReason, MalhaError
from malha.tasks import together
from malha.telemetry import log, metrics, names
from malha.telemetry.traces import Span, span
from malha_planner.claimed import ClaimedRun
from malha_planner.lease import Interrupted
from malha_planner.ports import Listening, ModelReply, NoAnswerError
from malha_planner.prompts import conversation
from malha_planner.react import CallModel
from malha_planner.speaking import Speech
from malha_planner.transcript import MAX_CALLS

_MODEL_SECONDS = 60.0
"""A model that has not answered after so long is given up, where a run accepted long ago does not say."""
_PAUSE = 0.2
_MOST_BYTES = 800_000
"""Of a reply: more is no record, and a run whose reply cannot be stored would ask for it again and again."""


async def call_model(run: ClaimedRun, decision: CallModel) -> None:
    """Carry the decision out; the reply or the failure is noted and in the transcript.

    Raises MalhaError where the run itself cannot go on, and what `Lease.write` raises.
    """
    if decision.attempt > 1:
        await _pause(run, decision.attempt)
    async with run.voice.speech() as speech:
        with span(f"chat {run.model.name}", kind="client") as traced:
            outcome = await _ask(run, decision, traced, speech)
        if outcome is None:
            return
        finished, content = outcome
        if content.message.text and content.ByteSize() <= _MOST_BYTES:
            # with nothing left to call the run ends here, and what it spent is settled meanwhile
            over = [] if content.message.tool_calls else [run.purse.settle()]
            await together(_guard(run, finished, content, speech), *over)
        if content.ByteSize() > _MOST_BYTES:  # before the guard, or by what it put in place of what it masked
            _refuse(finished, content)
    run.lease.notes.add(JournalEvent(step_finished=finished), content)
    metrics.PLANNER_STEPS.labels("model", finished.error_reason or "OK").observe(
        finished.elapsed.ToNanoseconds() / 1e9
    )
    run.transcript.heard(finished, content)


async def _pause(run: ClaimedRun, attempt: int) -> None:
    """Before another attempt: what the provider asked for, and a growing time by chance."""
    asked = run.model_back_at - run.clock.monotonic()
    if asked >= run.lease.remaining():
        raise MalhaError(
            ErrorReason.ERROR_REASON_MODEL_UNAVAILABLE,
            "the model provider is away for longer than the run may wait",
        )
    chance = random.uniform(_PAUSE, 2 * _PAUSE) * attempt  # noqa: S311 - jitter, no secret
    await run.lease.pause(max(0.0, asked) + chance)


async def _ask(
    run: ClaimedRun, decision: CallModel, traced: Span, speech: Speech | None
) -> tuple[StepFinished, Content] | None:
    """What the model said, or why it did not; None where nobody knows: the attempt was given up then."""
    lease, model = run.lease, run.model
    offered = await run.tools() if decision.may_call_tools else []
    messages = conversation(run.agent, run.transcript)
    limits = lease.state.accepted.limits
    most, seconds = limits.max_output_tokens, _seconds(limits)
    call = ModelCall(
        provider=model.provider,
        model=model.name,
        input_tokens=model.count(messages, offered),
        max_output_tokens=most,
        min_output_tokens=min(run.agent.min_output_tokens, most),
    )
    started = StepStarted(
        key=lease.state.next_key(decision.step, lease.epoch),
        step=decision.step,
        kind=StepKind.STEP_KIND_MODEL,
        name=model.name,
        provider=model.provider,
        offered_tools=[tool.name for tool in offered],
    )
    traced.set(names.GEN_AI_OPERATION, "chat")
    traced.set(names.GEN_AI_PROVIDER, model.provider)
    traced.set(names.GEN_AI_REQUEST_MODEL, model.name)
    traced.set(names.MALHA_STEP, decision.step)
    [held] = await run.purse.reserve([run.reservation(started.key, model=call)])
    most = held.max_output_tokens or most  # a ledger of the version before does not say
    traced.set(names.GEN_AI_REQUEST_MAX_TOKENS, most)
    started.reserved_microusd = run.purse.held[started.key]
    lease.notes.add(JournalEvent(step_started=started))
    await run.boundaries.reach("before_model_started")
    await lease.write()
    await run.boundaries.reach("after_model_started")
    run.transcript.asked(decision.step)
    begun = run.clock.monotonic()
    listening = speech.begin(started) if speech is not None else None
    try:
        reply = await lease.within(
            model.complete(
                messages,
                offered,
                max_output_tokens=most,
                deadline_seconds=min(seconds, lease.remaining()),
                listening=listening,
            ),
            seconds,
        )
    except MalhaError as error:
        traced.fail(error.reason_name)
        log.warning(
            "model_failed",
            run=lease.state.run_id,
            tenant=lease.state.tenant,
            model=f"{model.provider}/{model.name}",
            attempt=decision.attempt,
            why=error.message,
        )
        _counted(run, started, listening, reasons=held.reasons)
        outcome = _failed(run, started, error)
    except Interrupted:
        _counted(run, started, listening, reasons=held.reasons)
        raise
    else:
        traced.set(names.GEN_AI_INPUT_TOKENS, reply.usage.input_tokens)
        traced.set(names.GEN_AI_OUTPUT_TOKENS, reply.usage.output_tokens)
        outcome = _replied(run, started, reply)
    if outcome is not None:
        outcome[0].elapsed.CopyFrom(run.since(begun))
    await run.boundaries.reach("model_returned")
    return outcome


def _counted(run: ClaimedRun, started: StepStarted, listening: Listening | None, *, reasons: bool) -> None:
    """Remember what came of an answer that was ended in the middle.

    Of a model that reasons, what could be seen is not what it bills: there only its own count is known.
    """
    if listening is not None and listening.usage is not None and (listening.told or not reasons):
        run.cut[started.key] = listening.usage


def _seconds(limits: RunLimits) -> float:
    """How long one call may take."""
    allowed = limits.max_model_time
    return allowed.seconds + allowed.nanos / 1e9 or _MODEL_SECONDS


def _replied(run: ClaimedRun, started: StepStarted, reply: ModelReply) -> tuple[StepFinished, Content]:
    run.purse.owe(started, Settlement(usage=reply.usage))
    run.cut[started.key] = reply.usage  # it may yet be given up, unguarded: its price is known
    content = Content(message=reply.message, citations=reply.citations)
    del content.message.tool_calls[MAX_CALLS:]
    outcome = StepOutcome.STEP_OUTCOME_OK
    return StepFinished(key=started.key, step=started.step, outcome=outcome, usage=reply.usage), content


def _failed(run: ClaimedRun, started: StepStarted, error: MalhaError) -> tuple[StepFinished, Content] | None:
    if isinstance(error, NoAnswerError) or error.reason == ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED:
        if run.lease.remaining() <= 0:
            raise MalhaError(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, "the run's time is used up")
        run.give_up(started, Abandonment.ABANDONMENT_NO_ANSWER)  # it may have been at work, and bill it
        run.transcript.unanswered()
        return None
    run.model_back_at = run.clock.monotonic() + (error.retry_after or 0.0)
    run.purse.owe(started, Settlement(release=True))
    refused = error.reason == ErrorReason.ERROR_REASON_MODEL_REFUSED
    finished = StepFinished(
        key=started.key,
        step=started.step,
        outcome=StepOutcome.STEP_OUTCOME_FAILED,
        error_reason="MODEL_REFUSED" if refused else "MODEL_UNAVAILABLE",
    )
    return finished, Content(error_text=error.message)


def _refuse(finished: StepFinished, content: Content) -> None:
    """A reply that cannot be kept is paid for, and not asked for again."""
    finished.outcome, finished.error_reason = StepOutcome.STEP_OUTCOME_FAILED, "MODEL_REFUSED"
    content.Clear()
    content.error_text = f"the model's answer is too long: {_MOST_BYTES} bytes at most are kept"


async def _guard(run: ClaimedRun, finished: StepFinished, content: Content, speech: Speech | None) -> None:
    """A blocked text is replaced by the guard's safe one, and nothing the model cited stays."""
    judgement = None
    if speech is not None:
        judgement = await run.lease.within(speech.judged(content.message.text), run.lease.remaining())
    if judgement is None:
        judgement = await run.screen.output(content.message.text)
    content.message.text = judgement.text
    finished.verdict.CopyFrom(judgement.verdict)
    if judgement.verdict.action == Action.ACTION_BLOCK:
        finished.outcome = StepOutcome.STEP_OUTCOME_BLOCKED
        del content.citations[:]
