"""A worker without a planner: plays a run into its journal, record by record.

For tests and measurements of whatever reads journals: what it leaves is what a correct worker leaves,
contents sealed, but no model, tool or guard is asked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from google.protobuf.duration_pb2 import Duration

from malha.api.common.v1.usage_pb2 import Cost, Usage
from malha.api.run.v1.chat_pb2 import ChatMessage, Citation, Role, ToolCall
from malha.api.run.v1.delta_pb2 import Delta
from malha.api.run.v1.record_pb2 import (
    Abandonment,
    Action,
    Answered,
    Claimed,
    Content,
    FinalStatus,
    Finished,
    JournalEvent,
    Parked,
    ParkReason,
    Proposed,
    Record,
    Risk,
    StepAbandoned,
    StepFinished,
    StepKind,
    StepOutcome,
    StepStarted,
    Verdict,
)
from malha.run import DELTA, Journal, RunState, Sealer, call_hash, fold


class Telling(Protocol):
    """Where deltas are told."""

    async def publish(self, delta: Delta) -> None: ...


_ALLOWED = Verdict(action=Action.ACTION_ALLOW, policy="v1")


class PlayedRun:
    """One accepted run in the hands of a worker that was told what happens."""

    def __init__(self, journal: Journal, sealer: Sealer, tenant: str, run_id: str) -> None:
        self._journal = journal
        self._sealer = sealer
        self._tenant = tenant
        self._run_id = run_id
        self._noted: list[JournalEvent] = []
        self.state: RunState | None = None

    async def play(self, answer: str = "391", *, tool_calls: int = 1) -> None:
        """The usual run: a model asks for tools one by one, then answers."""
        await self.claim()
        for _ in range(tool_calls):
            await self.model_asks("calculator", '{"expression": "17 * 23"}')
            await self.tool_answers("calculator", '{"expression": "17 * 23"}', answer)
        await self.model_says(answer)
        await self.answer(answer)

    async def claim(self, delivery: int = 1) -> None:
        """Take the run."""
        await self._append(JournalEvent(claimed=Claimed(worker="played", item=1, delivery=delivery)))

    async def model_asks(self, tool: str, arguments_json: str) -> None:
        """A model call that ends in a wish for a tool."""
        call = ToolCall(call_id="c1", tool=tool, arguments_json=arguments_json)
        await self._model(ChatMessage(role=Role.ROLE_ASSISTANT, tool_calls=[call]))

    async def model_says(self, text: str) -> None:
        """A model call that ends in text."""
        await self._model(ChatMessage(role=Role.ROLE_ASSISTANT, text=text))

    async def model_writes(self, deltas: Telling, pieces: Sequence[str], *, again: bool = False) -> None:
        """A model call whose text is told while it is written; with ``again`` by a worker that dies before
        the end, and then by another."""
        key = await self.start(StepKind.STEP_KIND_MODEL, "offline-1")
        await self.tell(deltas, key, pieces)
        if again:
            await self.claim(2)
            given_up = StepAbandoned(
                key=key,
                step=self._state().last_step,
                how=Abandonment.ABANDONMENT_SETTLED_AT_CEILING,
            )
            key = self._state().next_key(given_up.step, self._state().epoch)
            started = StepStarted(
                key=key, step=given_up.step, kind=StepKind.STEP_KIND_MODEL, name="offline-1"
            )
            await self._append(
                JournalEvent(step_abandoned=given_up),
                await self._sealed(JournalEvent(step_started=started), Content()),
            )
            await self.tell(deltas, key, pieces)
        message = ChatMessage(role=Role.ROLE_ASSISTANT, text="".join(pieces))
        await self.end(key, Content(message=message), usage=Usage(input_tokens=100, output_tokens=10))

    async def tell(self, deltas: Telling, key: str, pieces: Sequence[str]) -> None:
        """Tell the text of a step that was begun; the whole of it in every fifth delta."""
        text = ""
        for number, piece in enumerate(pieces):
            offset, text = (0 if number % 5 == 0 else len(text)), text + piece
            content = Content(text=text[offset:])
            delta = Delta(
                tenant=self._tenant,
                run_id=self._run_id,
                key=key,
                step=self._state().last_step,
                epoch=self._state().epoch,
                offset=offset,
                content=await self._sealer.seal(self._tenant, self._run_id, DELTA, content),
            )
            await deltas.publish(delta)

    async def tool_answers(self, tool: str, arguments_json: str, text: str) -> None:
        """A tool call that ends well."""
        key = await self.start(StepKind.STEP_KIND_TOOL, tool, Content(arguments_json=arguments_json))
        await self.end(key, Content(text=text, result_json=f'"{text}"'), cost=Cost(amount_microusd=7))

    async def start(self, kind: StepKind, name: str, content: Content | None = None) -> str:
        """Begin a step; answers its key."""
        state = self._state()
        step = state.last_step + 1
        key = state.next_key(step, state.epoch)
        started = StepStarted(key=key, step=step, kind=kind, name=name, offered_tools=["calculator"])
        await self._append(await self._sealed(JournalEvent(step_started=started), content or Content()))
        return key

    async def end(
        self,
        key: str,
        content: Content,
        *,
        outcome: StepOutcome = StepOutcome.STEP_OUTCOME_OK,
        reason: str = "",
        usage: Usage | None = None,
        cost: Cost | None = None,
    ) -> None:
        """End a step begun under ``key``; written with what comes next, as the planner does."""
        finished = StepFinished(
            key=key,
            step=self._state().last_step,
            outcome=outcome,
            usage=usage,
            cost=cost,
            elapsed=Duration(nanos=5_000_000),
            error_reason=reason,
            verdict=_ALLOWED,
        )
        self._noted.append(await self._sealed(JournalEvent(step_finished=finished), content))

    async def answer(self, text: str, *, is_llm: bool = False) -> None:
        """Answer and finish, in one record."""
        state = self._state()
        answered = JournalEvent(answered=Answered(verdict=_ALLOWED, model="offline-1", is_llm=is_llm))
        citation = Citation(marker="[1]", document="docs/a.md", section="A > B", quote="so")
        final = Finished(status=FinalStatus.FINAL_STATUS_SUCCEEDED, usage=state.usage, cost=state.cost)
        await self._append(
            await self._sealed(answered, Content(text=text, citations=[citation])),
            JournalEvent(finished=final),
        )

    async def finish(
        self, status: FinalStatus, reason: str = "", text: str = "", metadata: dict[str, str] | None = None
    ) -> None:
        """End without an answer."""
        final = Finished(status=status, error_reason=reason, error_metadata=metadata or {})
        await self._append(await self._sealed(JournalEvent(finished=final), Content(error_text=text)))

    async def park(self, key: str) -> None:
        """Wait for a person."""
        await self._append(
            JournalEvent(parked=Parked(reason=ParkReason.PARK_REASON_OUTCOME_UNKNOWN, key=key))
        )

    async def ask(self, *arguments_json: str, approvals: int = 1, expires: datetime | None = None) -> None:
        """Wait for people's leave: a call of the tool "stop" for each of the arguments."""
        state = self._state()
        for step, given in enumerate(arguments_json, state.last_step + 1):
            proposed = Proposed(
                step=step,
                tool="stop",
                tool_version="1",
                risk=Risk.RISK_HIGH if approvals == 1 else Risk.RISK_CRITICAL,
                hash=call_hash("stop", "1", json.loads(given), "played/1"),
                policy="played/1",
                approvals=approvals,
            )
            proposed.expire_time.FromDatetime(expires or datetime.now(UTC) + timedelta(days=1))
            content = Content(text=f"stop with {given}", arguments_json=given)
            self._noted.append(await self._sealed(JournalEvent(proposed=proposed), content))
        parked = Parked(reason=ParkReason.PARK_REASON_APPROVAL, wake_at=proposed.expire_time)
        await self._append(JournalEvent(parked=parked))

    async def _model(self, message: ChatMessage) -> None:
        key = await self.start(StepKind.STEP_KIND_MODEL, "offline-1")
        usage = Usage(input_tokens=100, output_tokens=10)
        await self.end(key, Content(message=message), usage=usage, cost=Cost(amount_microusd=3))

    async def _sealed(self, event: JournalEvent, content: Content) -> JournalEvent:
        kind = str(event.WhichOneof("event"))
        event.content.CopyFrom(await self._sealer.seal(self._tenant, self._run_id, kind, content))
        return event

    async def _append(self, *events: JournalEvent) -> None:
        if self.state is None:
            self.state = fold(await self._journal.load(self._tenant, self._run_id))
        together = [*self._noted, *events]
        self._noted.clear()
        record = Record(tenant=self._tenant, run_id=self._run_id, epoch=self.state.epoch, events=together)
        self.state = fold([await self._journal.append(record, expected=self.state.last_sequence)], self.state)

    def _state(self) -> RunState:
        if self.state is None:
            raise RuntimeError("claim the run first")
        return self.state
