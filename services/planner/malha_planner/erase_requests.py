"""Whoever wants something erased asks here, and waits until it is.

The request is stored with all that the erasure needs; from then on it will be done, whatever dies. What
is still going on is not erased: a run is cancelled first.
"""

from __future__ import annotations

from collections.abc import Sequence

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.gateway.v1.run_pb2 import RunStatus
from malha.api.planner.v1.erasure_pb2 import Erasure
from malha.api.run.v1.record_pb2 import Dropped, JournalEvent, Record
from malha.clock import Clock
from malha.errors import ErrorReason, MalhaError
from malha.run import Entry, Fenced, Journal, RunState, fold_whatever, opens
from malha.timestamps import stamp
from malha_planner.ports import Disk, Erasures, Keys, RunsTable, Shelf

_LOOK = 0.05
_PAGE = 64
_OPEN = ("QUEUED", "RUNNING", "WAITING")


class EraseRequests:
    """Takes requests.

    Args:
        journal: the stream's own, without the archive behind it.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        shelf: Shelf,
        erasures: Erasures,
        table: RunsTable,
        keys: Keys,
        disk: Disk,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._shelf = shelf
        self._erasures = erasures
        self._table = table
        self._keys = keys
        self._disk = disk
        self._clock = clock

    async def erase_run(self, principal: Principal, run_id: str) -> None:
        """Erase a run of the principal's tenant; returns when that is done.

        Raises:
            MalhaError: RUN_NOT_FOUND; RUN_NOT_FINISHED.
        """
        await self._ask(principal, run_id)
        await self._until_done(principal.tenant, [run_id])

    async def erase_tenant(self, principal: Principal, tenant: str) -> int:
        """Erase a tenant's runs, then its data key; how many runs there were.

        Raises:
            MalhaError: RUN_NOT_FINISHED where one is still going.
        """
        for status in _OPEN:
            if await self._table.page(tenant, {"status": status}, before=None, limit=1):
                raise _still_going(status)
        theirs = Principal()
        theirs.CopyFrom(principal)
        theirs.tenant = tenant
        erased = 0
        before = None
        while rows := await self._table.page(tenant, {}, before=before, limit=_PAGE):
            run_ids = [row.run_id for _, row in rows]
            for run_id in run_ids:
                try:
                    await self._ask(theirs, run_id)
                except MalhaError as error:
                    if error.reason != ErrorReason.ERROR_REASON_RUN_NOT_FOUND:
                        raise  # what is gone by now was asked for before, or by others
            await self._until_done(tenant, run_ids)
            erased += len(rows)
            before = rows[-1][0]
        await self._keys.destroy(tenant)
        return erased

    async def _ask(self, principal: Principal, run_id: str) -> None:
        tenant = principal.tenant
        entries = await self._journal.load(tenant, run_id)
        if await self._erasures.waits(tenant, run_id):
            return
        archived = await self._shelf.entries(tenant, run_id)
        # on its way into the archive the stream holds part of it; opened again since, something newer
        known = max(archived, entries, key=_end)
        if not known or not opens(known[0].record):
            raise MalhaError(ErrorReason.ERROR_REASON_RUN_NOT_FOUND, "there is no such run")
        state = fold_whatever(known)
        if not state.final:
            raise _still_going(RunStatus.Name(state.status).removeprefix("RUN_STATUS_"))
        if state.dead:
            try:
                entries = known = [*known, await self._drop(principal, state)]
            except Fenced:
                await self._ask(principal, run_id)
                return
        sequences = {entry.sequence for entry in (*archived, *entries)}
        await self._erasures.ask(
            Erasure(
                tenant=tenant,
                run_id=run_id,
                principal=principal,
                through=known[-1].sequence,
                sequences=sorted(sequences),
            )
        )

    async def _drop(self, principal: Principal, state: RunState) -> Entry:
        """Close a dead run for good: replayed meanwhile, it would be erased in part only. Raises Fenced."""
        record = Record(
            tenant=state.tenant,
            run_id=state.run_id,
            events=[JournalEvent(dropped=Dropped(by=principal.subject, reason="erased"))],
            written_at=stamp(self._clock.now()),
        )
        return await self._journal.append(record, expected=state.last_sequence)

    async def _until_done(self, tenant: str, run_ids: Sequence[str]) -> None:
        """Return when these are erased; how long that may take is the caller's to say."""
        for run_id in run_ids:
            while await self._erasures.waits(tenant, run_id):
                await self._clock.sleep(_LOOK)
        await self._disk.scour(run_ids)


def _end(entries: Sequence[Entry]) -> int:
    return entries[-1].sequence if entries else 0


def _still_going(status: str) -> MalhaError:
    return MalhaError(
        ErrorReason.ERROR_REASON_RUN_NOT_FINISHED,
        "it is still going; cancel it first",
        metadata={"status": status},
    )
