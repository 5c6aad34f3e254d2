"""Dead runs in the hands of an operator: looked at, opened again, or closed for good.

No second queue keeps the dead. A dead run is one whose journal says so; a replay and a drop are one
append each, as everything else that people cause. An operator need not be of the run's tenant, and so
sees what happened and not a word of what was said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.gateway.v1.operator_service_pb2 import DeadRun, DeadRunClaim, ListDeadRunsResponse
from malha.api.gateway.v1.run_pb2 import RunStatus
from malha.api.run.v1.record_pb2 import Content, Dropped, JournalEvent, Record, Replayed, Sealed
from malha.clock import Clock
from malha.errors import ErrorReason, MalhaError
from malha.run import Entry, Journal, RunState, Sealer, amend, fold_whatever, without_content
from malha_gateway import view
from malha_gateway.ports import Guard, Planner
from malha_gateway.records import record_of
from malha_gateway.view import View
from malha_gateway.words import let_through


class DeadRuns:
    """Dead runs of every tenant. Whether the caller is an operator is checked before."""

    def __init__(
        self, *, journal: Journal, sealer: Sealer, view: View, guard: Guard, planner: Planner, clock: Clock
    ) -> None:
        self._journal = journal
        self._sealer = sealer
        self._view = view
        self._guard = guard
        self._planner = planner
        self._clock = clock

    async def list(self, tenant: str, page_size: int, page_token: str) -> ListDeadRunsResponse:
        """A page of those that are neither replayed nor dropped; of one tenant, or of all for ""."""
        page = await self._planner.dead_runs(tenant, page_size, page_token)
        found = [DeadRun(tenant=row.tenant, run=view.row(row.row)) for row in page.rows]
        return ListDeadRunsResponse(dead_runs=found, next_page_token=page.next_page_token)

    async def show(self, tenant: str, run_id: str) -> DeadRun:
        """What happened to it.

        Raises:
            MalhaError: RUN_NOT_FOUND; RUN_NOT_DEAD (metadata status) for one that lives, or is over.
        """
        return await self._shown(await self._found(tenant, run_id))

    async def replay(self, operator: Principal, tenant: str, run_id: str, reason: str) -> DeadRun:
        """Open it again.

        Raises:
            MalhaError: as ``show``; JOURNAL_BROKEN where no worker could read it.
        """
        event = JournalEvent(replayed=Replayed(by=_signed(operator, tenant)))
        event.content.CopyFrom(await self._words(tenant, run_id, "replayed", reason))

        def decide(state: RunState) -> Record:
            _must_be_dead(state)
            if state.broken:
                raise MalhaError(
                    ErrorReason.ERROR_REASON_JOURNAL_BROKEN, f"no worker can read its journal: {state.broken}"
                )
            return record_of(event, tenant, run_id, self._clock)

        return await self._amend(tenant, run_id, decide)

    async def drop(self, operator: Principal, tenant: str, run_id: str, reason: str) -> DeadRun:
        """Close it for good. Raises as ``show``."""
        event = JournalEvent(dropped=Dropped(by=_signed(operator, tenant)))
        event.content.CopyFrom(await self._words(tenant, run_id, "dropped", reason))

        def decide(state: RunState) -> Record:
            _must_be_dead(state)
            return record_of(event, tenant, run_id, self._clock)

        return await self._amend(tenant, run_id, decide)

    async def _words(self, tenant: str, run_id: str, kind: str, reason: str) -> Sealed:
        """What the operator says of a dead run, as the tenant may read it."""
        await self._found(tenant, run_id)  # first, for sealing makes a key where the tenant has none
        said = Content(comment=await let_through(self._guard, reason))
        return await self._sealer.seal(tenant, run_id, kind, said)

    async def _found(self, tenant: str, run_id: str) -> Sequence[Entry]:
        entries = await self._journal.load(tenant, run_id)
        if not entries:
            raise MalhaError(ErrorReason.ERROR_REASON_RUN_NOT_FOUND, "there is no such run")
        _must_be_dead(fold_whatever(entries))
        return entries

    async def _amend(self, tenant: str, run_id: str, decide: Callable[[RunState], Record]) -> DeadRun:
        state = await amend(self._journal, tenant, run_id, decide)
        entries = await self._journal.load(tenant, run_id)  # a worker may have it by now
        return await self._shown([entry for entry in entries if entry.sequence <= state.last_sequence])

    async def _shown(self, entries: Sequence[Entry]) -> DeadRun:
        state = fold_whatever(map(without_content, entries))
        run = await self._view.run(state)
        return DeadRun(tenant=state.tenant, run=run, claims=list(map(_claim, filter(_claims, entries))))


def _must_be_dead(state: RunState) -> None:
    if state.dead:
        return
    status = RunStatus.Name(state.status).removeprefix("RUN_STATUS_")
    raise MalhaError(
        ErrorReason.ERROR_REASON_RUN_NOT_DEAD, f"the run is not dead: {status}", metadata={"status": status}
    )


def _signed(operator: Principal, tenant: str) -> str:
    """Who it was, as the tenant may read it."""
    return operator.subject if operator.tenant == tenant else f"{operator.tenant}/{operator.subject}"


def _claims(entry: Entry) -> bool:
    return any(event.HasField("claimed") for event in entry.record.events)


def _claim(entry: Entry) -> DeadRunClaim:
    claimed = next(event.claimed for event in entry.record.events if event.HasField("claimed"))
    shown = DeadRunClaim(worker=claimed.worker, item=claimed.item, delivery=claimed.delivery)
    shown.claim_time.FromDatetime(entry.time)
    return shown
