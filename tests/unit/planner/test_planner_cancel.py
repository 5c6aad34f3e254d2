"""A cancellation reaches what is under way, pays for it, and ends the run."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from malha.api.run.v1.record_pb2 import (
    Abandonment,
    CancelRequested,
    Content,
    Effect,
    FinalStatus,
    JournalEvent,
    Record,
)
from malha.api.tools.v1.tools_service_pb2 import ExecuteRequest, ExecuteResponse, ToolResult
from malha.run import Entry, cancelled, limits, subject
from malha.testing.journal import MemoryJournal
from malha.testing.planner import Crash, CrashAt, HoldAt, MemoryToolbox, asks, found, says
from malha.testing.records import RecordsOf
from malha.testing.shop import Shop, until


async def test_a_cancellation_ends_a_model_call_within_a_second(shop: Shop) -> None:
    shop.model.hold = asyncio.Event()
    shop.model.script = [says("never")]
    item = await shop.accept()
    async with asyncio.timeout(10):
        working = asyncio.create_task(shop.worker().handle(item))
        await shop.model.entered.wait()
        asked = time.monotonic()
        await shop.cancel(item)
        await working
    assert time.monotonic() - asked < 1
    state = await shop.state(item)
    assert state.finished is not None
    assert state.finished.status == FinalStatus.FINAL_STATUS_CANCELLED
    assert state.steps[0].abandoned is not None
    assert state.steps[0].abandoned.how == Abandonment.ABANDONMENT_INTERRUPTED
    assert shop.ledger.spent == 100 == state.finished.cost.amount_microusd
    assert shop.ledger.reserved == 0
    assert item.acks == 1


async def test_a_cancellation_ends_parallel_tool_calls_and_keeps_the_result_that_was_there(
    shop: Shop,
) -> None:
    entered = asyncio.Event()

    async def branch(arguments: dict[str, object]) -> ToolResult:
        if arguments["name"] == "slow":
            entered.set()
            await asyncio.Event().wait()
        return found("quick")

    shop.toolbox.add("branch", branch, price=5)
    shop.model.script = [asks(("branch", {"name": "quick"}), ("branch", {"name": "slow"}))]
    item = await shop.accept()

    async def quick_is_written() -> bool:
        return (await shop.state(item)).steps[1].finished is not None

    async with asyncio.timeout(10):
        working = asyncio.create_task(shop.worker().handle(item))
        await entered.wait()
        await until(quick_is_written)
        await shop.cancel(item)
        await working
    quick, slow = (await shop.state(item)).steps[1:]
    assert quick.finished is not None
    assert slow.abandoned is not None
    assert slow.abandoned.how == Abandonment.ABANDONMENT_TOMBSTONED
    assert shop.ledger.spent == 10 + 5, "what only read is given back"
    assert shop.ledger.reserved == 0
    assert (await shop.failure(item))[0] == "CANCELLED"


async def test_a_cancelled_effect_that_had_begun_is_paid_for_and_told_as_unknown(shop: Shop) -> None:
    entered = asyncio.Event()

    async def once(_arguments: dict[str, object]) -> ToolResult:
        entered.set()
        await asyncio.Event().wait()
        raise AssertionError

    shop.toolbox.add("once", once, effect=Effect.EFFECT_ONCE, price=5)
    shop.model.script = [asks(("once", {}))]
    item = await shop.accept()
    async with asyncio.timeout(10):
        working = asyncio.create_task(shop.worker().handle(item))
        await entered.wait()
        await shop.cancel(item)
        await working
    call = (await shop.state(item)).steps[1]
    assert call.abandoned is not None
    assert call.abandoned.how == Abandonment.ABANDONMENT_UNKNOWN
    assert shop.ledger.spent == 10 + 5
    assert shop.ledger.reserved == 0


async def test_a_result_that_was_recorded_before_the_cancellation_arrived_is_kept(shop: Shop) -> None:
    """The tool acted; its answer was on its way when the run was cancelled."""
    acted = asyncio.Event()

    class LateToolbox(MemoryToolbox):
        async def execute(self, request: ExecuteRequest, *, timeout: float) -> ExecuteResponse:
            await super().execute(request, timeout=timeout)
            acted.set()
            await asyncio.Event().wait()
            raise AssertionError

    toolbox = LateToolbox()
    toolbox.add("count", shop._count, effect=Effect.EFFECT_ONCE, price=5)
    shop.toolbox = toolbox
    shop.model.script = [asks(("count", {}))]
    item = await shop.accept()
    async with asyncio.timeout(10):
        working = asyncio.create_task(shop.worker().handle(item))
        await acted.wait()
        await shop.cancel(item)
        await working
    call = (await shop.state(item)).steps[1]
    assert call.finished is not None
    assert call.finished.cost.amount_microusd == 5
    assert shop.ledger.spent == 10 + 5
    assert (await shop.failure(item))[0] == "CANCELLED"


async def test_the_end_says_who_cancelled_and_why(shop: Shop) -> None:
    item = await shop.accept()
    await shop.cancel(item, "wrong question")
    await shop.run(item)
    state = await shop.state(item)
    assert state.finished is not None
    assert state.failure is not None
    told = await shop.sealer.open(state.tenant, state.run_id, "finished", state.failure)
    assert dict(state.finished.error_metadata) == {"by": "ana"}, "what was said is sealed"
    assert told == Content(
        error_text="the run was cancelled by ana: wrong question", comment="wrong question"
    )


async def test_the_end_says_what_the_version_before_journaled_in_clear(shop: Shop) -> None:
    item = await shop.accept()
    asked = CancelRequested(by="ana", reason="wrong question")
    await shop.append(item, JournalEvent(cancel_requested=asked))
    await shop.run(item)
    assert (await shop.failure(item))[1] == "the run was cancelled by ana: wrong question"


async def test_a_run_cancelled_before_anyone_took_it_calls_nothing(shop: Shop) -> None:
    item = await shop.accept()
    await shop.cancel(item)
    await shop.run(item)
    assert (await shop.failure(item))[0] == "CANCELLED"
    assert shop.model.shown == []
    assert shop.ledger.calls == []
    assert item.acks == 1


async def test_a_run_that_ended_where_it_was_cancelled_is_dropped_by_the_worker_whose_turn_comes(
    shop: Shop,
) -> None:
    item = await shop.accept()
    asked = CancelRequested(by="ana")
    finished, _ = cancelled("ana", "")
    last = await shop.journal.last_sequence(item.tenant, item.run_id)
    events = [JournalEvent(cancel_requested=asked), JournalEvent(finished=finished)]
    record = Record(tenant=item.tenant, run_id=item.run_id, events=events)
    await shop.journal.append(record, expected=last)
    await shop.run(item)
    assert (await shop.state(item)).epoch == 0
    assert shop.ledger.calls == []
    assert item.acks == 1


async def test_a_cancellation_that_beats_the_answer_by_a_hair_wins_and_the_result_is_kept(
    shop: Shop,
) -> None:
    hold = HoldAt("before_final")
    shop.model.script = [says("just too late")]
    item = await shop.accept()
    async with asyncio.timeout(10):
        working = asyncio.create_task(shop.worker(hold).handle(item))
        await hold.reached.wait()
        await shop.cancel(item)
        hold.go_on.set()
        await working
    state = await shop.state(item)
    assert state.finished is not None
    assert state.finished.status == FinalStatus.FINAL_STATUS_CANCELLED
    assert state.answered is None
    assert state.steps[0].finished is not None
    assert shop.ledger.spent == 10 == state.finished.cost.amount_microusd


@pytest.mark.parametrize("nth", range(1, 9))
async def test_a_cancellation_that_beats_any_append_leaves_a_whole_journal_and_holds_no_money(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """Among the calls is one that is answered at once, so that its start and its end wait for one record."""
    append, appends = shop.journal.append, 0

    async def beaten(record: Record, *, expected: int) -> Entry:
        nonlocal appends
        appends += 1
        if appends == nth:
            monkeypatch.setattr(shop.journal, "append", append)
            await shop.cancel(item)
        return await append(record, expected=expected)

    shop.model.script = [asks(("no_such_tool", {}), ("add", {"a": 1}), ("count", {})), says("done")]
    item = await shop.accept()
    monkeypatch.setattr(shop.journal, "append", beaten)
    await shop.run(item)
    state = await shop.state(item)
    assert state.finished is not None
    in_time = appends == nth  # else it was over before
    ended = FinalStatus.FINAL_STATUS_CANCELLED if in_time else FinalStatus.FINAL_STATUS_SUCCEEDED
    assert state.finished.status == ended
    assert shop.ledger.reserved == 0
    assert shop.ledger.spent == state.cost.amount_microusd == state.finished.cost.amount_microusd


async def test_a_full_journal_without_room_for_a_call_of_an_unknown_tool_ends_for_that_reason(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_RECORDS", 20)  # enough for a first call of the model, no more
    shop.model.script = [asks(("no_such_tool", {}))]
    item = await shop.accept()
    await shop.run(item)
    assert (await shop.failure(item))[0] == "JOURNAL_LIMIT"


class RingsEarly(MemoryJournal):
    """Rings for a record first and stores it only when told to, as NATS does, but slowly."""

    def __init__(self) -> None:
        super().__init__()
        self.looked = asyncio.Event()

    def ring(self, record: Record) -> None:
        self.looked.clear()
        for bell in self._bells[subject(record.tenant, record.run_id)]:
            bell.ring(record)

    async def store(self, record: Record) -> None:
        bells, self._bells = self._bells, {}
        await self.append(record, expected=await self.last_sequence(record.tenant, record.run_id))
        self._bells = bells

    async def load(self, tenant: str, run_id: str, *, after: int = 0) -> list[Entry]:
        entries = await super().load(tenant, run_id, after=after)
        self.looked.set()
        return entries


async def test_a_cancellation_that_rings_before_it_is_stored_is_found_all_the_same(shop: Shop) -> None:
    """A publish reaches subscribers a moment before the stream has stored it."""
    journal = shop.journal = RingsEarly()
    shop.model.hold = asyncio.Event()
    shop.model.script = [says("never")]
    item = await shop.accept()
    record = RecordsOf(item.tenant, item.run_id).cancel()
    async with asyncio.timeout(5):
        working = asyncio.create_task(shop.worker().handle(item))
        await shop.model.entered.wait()
        journal.ring(record)
        await journal.looked.wait()
        await journal.store(record)
        await working
    assert (await shop.failure(item))[0] == "CANCELLED"


async def test_a_cancellation_while_nobody_says_whether_money_is_held_leaves_none_held(shop: Shop) -> None:
    shop.ledger.mute = True
    shop.model.script = [says("never")]
    item = await shop.accept()
    async with asyncio.timeout(10):
        working = asyncio.create_task(shop.worker().handle(item))
        await until(shop.ledger.asked)
        assert shop.ledger.reserved
        await shop.cancel(item)
        await working
    assert (await shop.state(item)).final
    assert (shop.ledger.reserved, shop.ledger.spent) == (0, 0)


async def test_a_cancellation_while_a_dead_workers_money_cannot_be_settled_yet_loses_none_of_it(
    shop: Shop,
) -> None:
    shop.model.script = [says("never")]
    item = await shop.accept()
    with pytest.raises(Crash):
        await shop.worker(CrashAt("after_model_started")).handle(item)
    assert shop.ledger.reserved == 100

    asked = len(shop.ledger.calls)
    shop.ledger.away = 10**6
    async with asyncio.timeout(10):
        working = asyncio.create_task(shop.worker().handle(replace(item, delivery=2)))
        await until(lambda: shop.ledger.away < 10**6)
        await shop.cancel(item)
        await until(lambda: shop.ledger.away < 10**6 - 3)
        shop.ledger.away = 0
        await working
    assert len(shop.ledger.calls) == asked + 1, "all of it in one request"
    state = await shop.state(item)
    assert state.finished is not None
    assert state.finished.status == FinalStatus.FINAL_STATUS_CANCELLED
    assert shop.ledger.reserved == 0
    assert shop.ledger.spent == 100 == state.finished.cost.amount_microusd
