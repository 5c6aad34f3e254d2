"""A run's life as the gateway sees it: accepted, waited for, read, cancelled.

The gateway keeps no state of a run. It appends to the journal what callers cause and folds what is
there; so any replica can serve any call, and none has anything to lose.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.gateway.v1.run_pb2 import Run, RunStatus
from malha.api.gateway.v1.run_service_pb2 import CreateRunRequest
from malha.api.run.v1.record_pb2 import (
    CancelRequested,
    Content,
    FinalStatus,
    JournalEvent,
    Record,
)
from malha.clock import Clock
from malha.errors import ErrorReason, MalhaError, reason_named
from malha.run import (
    Entry,
    Journal,
    RunState,
    Sealer,
    amend,
    cancelled,
    fold_whatever,
    untouched,
)
from malha_gateway.entrance import Entrance, run_id_of
from malha_gateway.looking import Looking
from malha_gateway.ports import Guard
from malha_gateway.records import record_of
from malha_gateway.view import View
from malha_gateway.words import let_through

_SLACK_SECONDS = 10.0  # over a run's own time, for its end to be written and read
_TELLING_SECONDS = 2.0  # of a wait of twenty or more
_RAISED = (ErrorReason.ERROR_REASON_BUDGET_EXCEEDED, ErrorReason.ERROR_REASON_GUARD_BLOCKED)
_ENDS = ("finished", "parked")
_RECENT = 16
"""Records read last, so that their rings are known to be old."""


class Runs:
    """Answers for runs, from their beginning."""

    def __init__(
        self, *, entrance: Entrance, journal: Journal, sealer: Sealer, view: View, guard: Guard, clock: Clock
    ) -> None:
        self._entrance = entrance
        self._journal = journal
        self._sealer = sealer
        self._view = view
        self._guard = guard
        self._clock = clock

    async def create(self, principal: Principal, request: CreateRunRequest) -> Run:
        """Accept a run; once this answers, the run will end.

        Raises:
            MalhaError: FIELD_INVALID, AGENT_NOT_FOUND, GUARD_BLOCKED, BUDGET_EXCEEDED,
                IDEMPOTENCY_CONFLICT, DEPENDENCY_UNAVAILABLE.
        """
        run_id = run_id_of(principal, request)
        return await self._view.run(await self._entrance.accept(principal, run_id, request))

    async def wait(self, principal: Principal, request: CreateRunRequest, *, seconds: float | None) -> Run:
        """Accept a run and answer at its end, or when it waits for a person.

        Args:
            seconds: what the caller has; None waits for as long as the run may take.

        Raises:
            MalhaError: as ``create``; DEADLINE_EXCEEDED (metadata run_id: the run goes on); and
                BUDGET_EXCEEDED or GUARD_BLOCKED where the run ended so.
        """
        run_id = run_id_of(principal, request)
        until = self._clock.monotonic() + seconds - _to_tell(seconds) if seconds is not None else None
        # the bell is hung up before the run exists, so that no end can be missed
        async with self._journal.doorbell(principal.tenant, run_id) as bell:
            state = await self._entrance.accept(principal, run_id, request)
            if until is None:
                allowed = state.accepted.limits.max_wall_time.seconds
                until = self._clock.monotonic() + allowed + _SLACK_SECONDS
            looking = Looking()
            read: deque[Record] = deque(maxlen=_RECENT)
            while not (state.final or state.parked):
                left = until - self._clock.monotonic()
                if left <= 0:
                    raise MalhaError(
                        ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED,
                        "the run goes on; ask for it by its id",
                        metadata={"run_id": run_id},
                    )
                rang = await bell.wait(min(looking.pause, left))
                if rang is None:
                    looking.looked()
                elif rang in read or _begins(rang):
                    continue
                elif any(event.WhichOneof("event") in _ENDS for event in rang.events):
                    looking.expect()
                # What rang may have been refused: the leader's journal decides. Read as it grows, so that at
                # the end, when the caller waits for nothing else, one record is left to read.
                entries = await self._read_on(state, until - self._clock.monotonic())
                read.extend(entry.record for entry in entries)
                fold_whatever(entries, state)
        await self._raise_refusal(state)
        return await self._view.run(state)

    async def _read_on(self, state: RunState, seconds: float) -> list[Entry]:
        """What is new; nothing where the journal is away: the run goes on, and a caller who was sent away
        without its id would have it made again."""
        try:
            async with asyncio.timeout(seconds):
                return await self._journal.load(state.tenant, state.run_id, after=state.last_sequence)
        except TimeoutError:
            return []
        except MalhaError as error:
            if error.reason != ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE:
                raise
            return []

    async def get(self, principal: Principal, run_id: str) -> Run:
        """The run with its steps; RUN_NOT_FOUND for another tenant's too."""
        entries = await self._journal.load(principal.tenant, run_id)
        if not entries:
            raise MalhaError(ErrorReason.ERROR_REASON_RUN_NOT_FOUND, "there is no such run")
        return await self._view.run(fold_whatever(entries))

    async def cancel(self, principal: Principal, run_id: str, reason: str) -> Run:
        """Ask for the run's end; asking again changes nothing. One that nobody took yet ends here.

        Of the reason is kept what the guard lets through; it keeps no run from being cancelled.

        Raises:
            MalhaError: RUN_NOT_FOUND; RUN_FINISHED (metadata status).
        """
        return await self.end(principal, run_id, await let_through(self._guard, reason))

    async def end(self, principal: Principal, run_id: str, why: str) -> Run:
        """As ``cancel``, for a reason that is ours."""
        finished, told = cancelled(principal.subject, why)
        seal = partial(self._sealer.seal, principal.tenant, run_id)
        asked = JournalEvent(
            cancel_requested=CancelRequested(by=principal.subject),
            content=await seal("cancel_requested", Content(comment=why)),
        )
        ended = JournalEvent(finished=finished, content=await seal("finished", told))

        def decide(state: RunState) -> Record | None:
            if state.final:
                status = RunStatus.Name(state.status).removeprefix("RUN_STATUS_")
                raise MalhaError(
                    ErrorReason.ERROR_REASON_RUN_FINISHED,
                    f"the run is over: {status}",
                    metadata={"status": status},
                )
            if state.cancel_requested is not None:
                return None
            record = record_of(asked, principal.tenant, run_id, self._clock)
            if untouched(state):
                record.events.append(ended)
            return record

        return await self._view.run(await amend(self._journal, principal.tenant, run_id, decide))

    async def _raise_refusal(self, state: RunState) -> None:
        finished = state.finished
        if finished is None or finished.status != FinalStatus.FINAL_STATUS_FAILED:
            return
        reason = reason_named(finished.error_reason)
        if reason not in _RAISED:
            return
        failure = await self._view.failure(state)
        quota = None
        if reason == ErrorReason.ERROR_REASON_BUDGET_EXCEEDED:
            quota = (failure.metadata["scope"] or "run", failure.message)
        raise MalhaError(
            reason,
            failure.message or "the run was refused",
            metadata={**failure.metadata, "run_id": state.run_id},
            quota=quota,
        )


def _to_tell(seconds: float) -> float:
    """What of a caller's time is kept for telling it which run goes on: later nobody would hear.

    A tenth at most: gRPC rounds a timeout up by a hundredth, and the edge keeps the same time.
    """
    return min(_TELLING_SECONDS, seconds / 10)


def _begins(record: Record) -> bool:
    """Whether all that rang is the beginning, which whoever waits for its end knows."""
    return all(event.HasField("accepted") for event in record.events)
