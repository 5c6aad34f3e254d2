"""The worker: from a work item to a run that moved on.

An item is a hint. The journal decides what it is worth, and the claim that the worker appends there
makes the run its own until someone else claims it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from malha.api.run.v1.record_pb2 import Claimed, FinalStatus, JournalEvent, Record
from malha.clock import Clock
from malha.errors import MalhaError
from malha.run import (
    BrokenJournalError,
    ClaimDecision,
    Doorbell,
    Fenced,
    Journal,
    RunState,
    Sealer,
    decide_claim,
    fold,
    fold_whatever,
    other_item,
)
from malha.tasks import end
from malha.telemetry import metrics, names
from malha.telemetry.logs import log
from malha.telemetry.traces import span
from malha.timestamps import stamp
from malha_planner.agents import Catalogue
from malha_planner.burial import bury
from malha_planner.claimed import ClaimedRun
from malha_planner.drive import drive
from malha_planner.lease import HandedOver, Lease, Lost
from malha_planner.ports import Acting, Boundaries, Deltas, Guard, Ledger, Models, Toolbox, WorkItem
from malha_planner.purse import Purse
from malha_planner.resuming import recall
from malha_planner.screening import Screen
from malha_planner.speaking import Voice

_CLOSING = 30.0
"""Seconds beyond a run's wall time in which its last calls (settling, guarding) may be made."""


@dataclass(frozen=True, slots=True)
class Worker:
    """Works on items, any number at once. `name` tells operators which process claimed a run."""

    name: str
    journal: Journal
    sealer: Sealer
    catalogue: Catalogue
    models: Models
    ledger: Ledger
    toolbox: Toolbox
    guard: Guard
    deltas: Deltas
    acting: Acting
    boundaries: Boundaries
    clock: Clock
    ack_wait: float
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when this process is to end: runs are then handed over, each after the step it is in."""

    async def handle(self, item: WorkItem) -> None:
        """Do what the item hints at. Never raises but for cancellation.

        Where that fails the item is left alone: the queue delivers it again once its lease is over.
        """
        try:
            outcome = await self._handle(item)
        except Lost:
            outcome = "lost"
        except HandedOver:
            await item.give_back()
            outcome = "handed_over"
        except MalhaError as error:
            outcome = "left"
            log.warning("run_left", run=item.run_id, tenant=item.tenant, reason=error.reason_name)
        except Exception as error:
            outcome = "left"
            log.exception("run_left", run=item.run_id, tenant=item.tenant, error=type(error).__name__)
        metrics.PLANNER_ITEMS.labels(outcome).inc()

    async def _handle(self, item: WorkItem) -> str:
        # The doorbell comes before the load, or what is appended in between would ring for nobody.
        async with self.journal.doorbell(item.tenant, item.run_id) as bell:
            state = await self._claim(item)
            if state is None:
                await item.ack()
                return "nothing_to_do"
            await self._work(item, state, bell)
            await item.ack()
            return "worked"

    async def _claim(self, item: WorkItem) -> RunState | None:
        """The state under one's own claim; None where there is nothing (more) to do."""
        if item.accepted and item.delivery == 1 and (state := await self._claim_new(item)) is not None:
            return state
        while True:
            entries = await self.journal.load(item.tenant, item.run_id)
            try:
                state = fold_whatever(entries) if entries else None
            except BrokenJournalError as error:
                # nobody was promised anything, and there is nothing to show
                metrics.PLANNER_ITEMS.labels("unreadable").inc()
                log.error("journal_broken", run=item.run_id, tenant=item.tenant, error=str(error))
                return None
            other = other_item(state, item.item)
            decision = decide_claim(
                state,
                item=item.item,
                delivery=item.delivery,
                item_time=item.time,
                other_queued=other > 0 and await item.queued(other),
            )
            if state is None or decision in (ClaimDecision.ACK, ClaimDecision.ACK_OTHER_QUEUED):
                return None
            try:
                if decision is ClaimDecision.DEAD:
                    with self.acting(state.accepted.principal, timeout=_CLOSING):
                        await bury(
                            state,
                            journal=self.journal,
                            sealer=self.sealer,
                            ledger=self.ledger,
                            clock=self.clock,
                        )
                    continue  # and find it final
                entry = await self.journal.append(self._claimed(item), expected=state.last_sequence)
            except Fenced:
                continue
            return fold([entry], state)

    async def _claim_new(self, item: WorkItem) -> RunState | None:
        """The same for a run that nobody wrote into since it was accepted; None where somebody did.

        The fence says whether that is so, and what it is then decided by needs no reading: it is read
        meanwhile, for what it says.
        """
        reading = asyncio.create_task(self.journal.load(item.tenant, item.run_id))
        try:
            claim = await self.journal.append(self._claimed(item), expected=item.accepted)
            entries = await reading
        except Fenced:
            return None
        finally:
            await end(reading)
        return fold([*(entry for entry in entries if entry.sequence < claim.sequence), claim])

    def _claimed(self, item: WorkItem) -> Record:
        claimed = Claimed(worker=self.name, item=item.item, delivery=item.delivery)
        return Record(
            tenant=item.tenant,
            run_id=item.run_id,
            events=[JournalEvent(claimed=claimed)],
            written_at=stamp(self.clock.now()),
        )

    async def _work(self, item: WorkItem, state: RunState, bell: Doorbell) -> None:
        lease = Lease(self.journal, self.sealer, state, self.clock, ack_wait=self.ack_wait)
        accepted = state.accepted
        with (
            self.acting(accepted.principal, timeout=max(0.0, lease.remaining()) + _CLOSING),
            span(f"invoke_agent {accepted.agent}", kind="consumer", parent=accepted.traceparent) as traced,
        ):
            traced.set(names.GEN_AI_OPERATION, "invoke_agent")
            traced.set(names.GEN_AI_AGENT, accepted.agent)
            traced.set(names.MALHA_RUN, state.run_id)
            run = await self._run(lease, item)
            async with _beating(lease, item, bell):
                try:
                    await drive(run)
                except Lost:
                    await run.purse.let_go()
                    raise
                except HandedOver:
                    await run.purse.let_go()
                    if not await lease.hand_over():
                        raise Lost from None
                    raise
                except asyncio.CancelledError:
                    # the step takes longer than this process may stay
                    if self.leaving.is_set() and not lease.interrupted and await lease.hand_over():
                        await item.give_back()
                    raise
            finished = state.finished
            if finished is not None:
                status = FinalStatus.Name(finished.status).removeprefix("FINAL_STATUS_")
                metrics.PLANNER_RUNS.labels(status, finished.error_reason).inc()
                if finished.error_reason:
                    traced.fail(finished.error_reason)

    async def _run(self, lease: Lease, item: WorkItem) -> ClaimedRun:
        accepted = lease.state.accepted
        refusal: MalhaError | None = None
        agent = self.catalogue.default
        try:
            agent = self.catalogue.get(accepted.agent, accepted.principal)
        except MalhaError as gone:
            refusal = gone
        return ClaimedRun(
            lease=lease,
            purse=Purse(
                *(self.ledger, lease, item, self.clock),
                agent_version=agent.card.version,
                leaving=self.leaving,
            ),
            screen=Screen(self.guard, lease, agent=accepted.agent),
            voice=Voice(self.guard, self.deltas, self.sealer, self.clock, lease.state),
            transcript=await recall(lease.state, self.sealer),
            agent=agent,
            model=self.models[agent.card.model],
            toolbox=self.toolbox,
            boundaries=self.boundaries,
            clock=self.clock,
            leaving=self.leaving,
            refusal=refusal,
        )


@asynccontextmanager
async def _beating(lease: Lease, item: WorkItem, bell: Doorbell) -> AsyncIterator[None]:
    """Keep the item and listen for others while the block runs."""
    beat = asyncio.create_task(lease.beat(item, bell))
    try:
        yield
    finally:
        await end(beat)
        if not beat.cancelled() and (error := beat.exception()) is not None:
            log.error("beat_failed", run=item.run_id, error=type(error).__name__)
