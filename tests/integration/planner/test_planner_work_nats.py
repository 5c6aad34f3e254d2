"""The queue on a real stream: every hint is worked on, no tenant waits for another, nothing is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from malha.api.run.v1.record_pb2 import Record
from malha.run import Entry, Journal
from malha.run.nats_journal import WORK
from malha.testing.planner import HoldAt, asks, says
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.servers import RunningServer
from malha.testing.shop import until
from malha_planner.adapters.waker import NatsWaker
from malha_planner.adapters.work_stream import NatsWork
from malha_planner.lanes import Lane, Lanes
from malha_planner.ports import Hint, WorkItem


async def wake(planner: PlannerOnNats, tenant: str, count: int, lane: str = "interactive") -> None:
    hints = [Hint(f"{tenant}/{lane}/{n}", lane, tenant, f"run-{n}") for n in range(count)]
    for start in range(0, count, 1000):
        await NatsWaker(planner.pipeline).wake(hints[start : start + 1000])


class Gate:
    """A handler whose runs end one by one, when they are told to."""

    def __init__(self) -> None:
        self.begun: list[WorkItem] = []
        self.ended = 0
        self._turns = asyncio.Semaphore(0)

    async def __call__(self, item: WorkItem) -> None:
        self.begun.append(item)
        await self._turns.acquire()
        await item.ack()
        self.ended += 1

    async def end_one(self) -> None:
        """Let one run end, and wait until it has, and until its slot is taken again."""
        ended, begun = self.ended, len(self.begun)
        self._turns.release()
        await until(lambda: self.ended == ended + 1 and len(self.begun) == begun + 1)

    def open(self) -> None:
        """Let all runs end from now on."""
        for _ in range(100_000):
            self._turns.release()


async def test_hints_stored_before_anyone_listened_are_found(planner: PlannerOnNats) -> None:
    await wake(planner, "early", 3)
    planner.start_worker(lambda item: item.ack())
    await planner.until_queued(0)


async def test_a_queue_whose_consumer_was_taken_away_is_worked_on_again(planner: PlannerOnNats) -> None:
    planner.start_worker(lambda item: item.ack())
    await wake(planner, "acme", 1)
    await planner.until_queued(0)
    await planner.connection.js.delete_consumer(WORK, "interactive=acme")
    await wake(planner, "acme", 2)  # the stream knows the first from before
    await planner.until_queued(0)


async def test_a_burst_is_worked_on_to_the_end_with_no_more_at_once_than_there_are_slots(
    planner: PlannerOnNats,
) -> None:
    at_once, most, done = 0, 0, 0

    async def handle(item: WorkItem) -> None:
        nonlocal at_once, most, done
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        await item.ack()
        at_once -= 1
        done += 1

    planner.ack_wait = 300.0
    planner.start_worker(handle, concurrency=8)
    for tenant in ("a", "b", "c"):
        await wake(planner, tenant, 300)
    await planner.until_queued(0)
    assert done == 900
    assert most <= 8


async def test_a_tenant_with_a_long_queue_does_not_hold_up_another(planner: PlannerOnNats) -> None:
    order: list[str] = []
    go = asyncio.Event()

    async def handle(item: WorkItem) -> None:
        await go.wait()
        order.append(item.tenant)
        await item.ack()

    planner.ack_wait = 300.0
    await wake(planner, "crowd", 200)
    planner.start_worker(handle, concurrency=4)
    await until(lambda: _busy(planner, 4))
    await wake(planner, "lonely", 3)
    await until(lambda: planner.lanes[0].waits(Lane("interactive", "lonely")))
    go.set()
    await planner.until_queued(0)
    assert max(place for place, tenant in enumerate(order) if tenant == "lonely") < 40


@pytest.mark.parametrize("slots", [1, 4])
async def test_ten_thousand_queued_runs_delay_another_tenants_first_by_at_most_one_run_a_worker(
    planner: PlannerOnNats, slots: int
) -> None:
    planner.ack_wait = 300.0
    gate = Gate()
    await wake(planner, "crowd", 10_000)
    planner.start_worker(gate, concurrency=slots)
    await until(lambda: len(gate.begun) == slots)
    await gate.end_one()
    await wake(planner, "lonely", 1)
    (lanes,) = planner.lanes
    await until(lambda: lanes.waits(Lane("interactive", "lonely")))
    before = gate.ended
    await gate.end_one()
    assert gate.begun[-1].tenant == "lonely", "the first slot that came free was its"
    assert gate.ended == before + 1
    gate.open()


async def test_a_tenants_runs_are_begun_by_their_priority(planner: PlannerOnNats) -> None:
    planner.ack_wait = 300.0
    order: list[str] = []

    async def handle(item: WorkItem) -> None:
        order.append(item.lane.name)  # type: ignore[attr-defined] # it is a NatsItem
        await item.ack()

    lanes = ["interactive-low", "interactive", "interactive-high"]
    for lane in lanes:
        await wake(planner, "acme", 20, lane)
    started = asyncio.Event()

    async def first(item: WorkItem) -> None:
        await started.wait()
        await handle(item)

    planner.start_worker(first, concurrency=1)
    (taken,) = planner.lanes
    await until(lambda: all(taken.waits(Lane(lane, "acme")) for lane in lanes))
    started.set()
    await planner.until_queued(0)
    assert order[1:] == sorted(order[1:], key=lambda lane: -lanes.index(lane))


async def test_batches_leave_room_for_interactive_runs(planner: PlannerOnNats) -> None:
    planner.ack_wait = 300.0
    gate = Gate()
    await wake(planner, "acme", 50, "batch")
    planner.start_worker(gate, concurrency=8, shares={"batch": 0.5})
    await until(lambda: _busy(planner, 4))
    await wake(planner, "acme", 3)
    await until(lambda: len(gate.begun) >= 7)
    assert sorted(item.lane.work_class for item in gate.begun) == ["batch"] * 4 + ["interactive"] * 3  # type: ignore[attr-defined] # NatsItems
    gate.open()
    await planner.until_queued(0)


async def test_a_tenants_cap_is_its_own_and_holds_from_the_next_start_on(planner: PlannerOnNats) -> None:
    planner.ack_wait = 300.0
    caps = {"small": 2, "big": 5}
    gate = Gate()
    for tenant in caps:
        await wake(planner, tenant, 20)
    worker = planner.start_worker(gate, caps=caps.__getitem__)
    await until(lambda: len(gate.begun) >= 7)
    assert Counter(item.tenant for item in gate.begun) == caps
    await planner.kill(worker)
    caps["small"] = 4
    again = Gate()
    planner.start_worker(again, caps=caps.__getitem__)
    await until(lambda: len(again.begun) == 2)
    assert [item.tenant for item in again.begun] == ["small"] * 2, "two are still with the killed worker"
    again.open()


async def test_an_item_whose_worker_vanished_is_delivered_again_and_counted(planner: PlannerOnNats) -> None:
    planner.ack_wait = 1.0
    deliveries: list[int] = []

    async def handle(item: WorkItem) -> None:
        deliveries.append(item.delivery)
        if item.delivery > 1:
            await item.ack()

    planner.start_worker(handle)
    await wake(planner, "a", 1)
    await planner.until_queued(0)
    assert deliveries == [1, 2]


async def test_two_planners_share_a_queue_and_no_item_is_worked_on_twice(planner: PlannerOnNats) -> None:
    seen: list[tuple[str, int]] = []

    async def handle(item: WorkItem) -> None:
        seen.append((item.run_id, item.delivery))
        await asyncio.sleep(0)
        await item.ack()

    planner.ack_wait = 300.0
    planner.start_worker(handle, concurrency=4)
    planner.start_worker(handle, concurrency=4)
    await wake(planner, "a", 200)
    await planner.until_queued(0)
    assert sorted(seen) == sorted((f"run-{n}", 1) for n in range(200))


async def test_a_planner_that_stops_finishes_what_it_has_and_leaves_the_rest(planner: PlannerOnNats) -> None:
    entered, go = asyncio.Event(), asyncio.Event()
    worked: list[str] = []

    async def handle(item: WorkItem) -> None:
        entered.set()
        await go.wait()
        worked.append(item.run_id)
        await item.ack()

    worker = planner.start_worker(handle, concurrency=1)
    await wake(planner, "a", 5)
    await entered.wait()
    stopping = asyncio.create_task(planner.stop(worker))
    await asyncio.sleep(0)
    go.set()
    await stopping
    assert len(worked) == 1
    await planner.until_queued(4)


class Slow:
    """A journal that takes longer to store a record than tasks that must end are asked twice."""

    def __init__(self, journal: Journal) -> None:
        self.load, self.doorbell = journal.load, journal.doorbell
        self._append = journal.append
        self.last_sequence = journal.last_sequence

    async def append(self, record: Record, *, expected: int) -> Entry:
        await asyncio.sleep(0.3)
        return await self._append(record, expected=expected)


async def test_a_planner_that_must_end_in_the_midst_of_a_call_says_so_though_the_journal_is_slow(
    planner: PlannerOnNats,
) -> None:
    planner.model.hold = asyncio.Event()
    worker = replace(planner.worker(), journal=Slow(planner.journal))
    work = NatsWork(planner.connection, Lanes(4, {}, lambda _: 4), cap=lambda _: 4, ack_wait=300.0)
    planner.start_follower()
    working = planner.start(work.serve(worker.handle, worker.leaving, grace=0), worker.leaving)
    item = await planner.accept()
    async with asyncio.timeout(10):
        await planner.model.entered.wait()
    await planner.stop(working)
    records = await planner.journal.load(item.tenant, item.run_id)
    assert records[-1].record.events[-1].HasField("handed_over")
    planner.model.hold.set()
    planner.model.script = [says("hello")]
    planner.start_worker()
    await planner.until_finished(1)  # it was given back, or that would take five minutes


async def test_a_tenants_concurrency_is_capped_by_the_queue(planner: PlannerOnNats) -> None:
    go = asyncio.Event()

    async def handle(item: WorkItem) -> None:
        await go.wait()
        await item.ack()

    planner.ack_wait = 30.0
    planner.start_worker(handle, caps=lambda _: 2)
    await wake(planner, "a", 10)
    await until(lambda: _busy(planner, 2))
    info = await planner.connection.js.consumer_info(WORK, "interactive=a")
    assert info.num_ack_pending == 2
    go.set()
    await planner.until_queued(0)


async def test_a_worker_that_goes_on_keeps_its_item_beyond_the_lease(planner: PlannerOnNats) -> None:
    planner.ack_wait = 2.0
    planner.model.hold = asyncio.Event()
    planner.model.script = [says("slowly")]
    planner.start_follower()
    planner.start_worker()
    item = await planner.accept()
    async with asyncio.timeout(10):
        await planner.model.entered.wait()
        await asyncio.sleep(5)  # the lease itself is what is waited for: two and a half of them
    planner.model.hold.set()
    await planner.until_finished(1)
    state = await planner.state(item)
    assert state.claim is None
    assert len(planner.model.shown) == 1
    assert sum(event["type"] == "malha.run.claimed" for event in await planner.events()) == 1


async def test_a_worker_paused_beyond_its_lease_loses_the_run_and_sends_nothing(
    planner: PlannerOnNats,
) -> None:
    planner.ack_wait = 1.0
    planner.model.script = [asks(("count", {})), says("done")]
    pause = HoldAt("tool_returned")

    class Frozen:
        """The first delivery meets a worker that stands still, beat and all; later ones a healthy one."""

        async def __call__(self, item: WorkItem) -> None:
            if item.delivery > 1:
                return await planner.worker(ack_wait=1.0).handle(item)
            return await planner.worker(pause, ack_wait=60.0).handle(item)

    planner.start_follower()
    planner.start_worker(Frozen())
    await planner.accept()
    await planner.until_finished(1)
    await planner.until_queued(0)
    pause.go_on.set()
    assert planner.counted == 1
    assert planner.ledger.reserved == 0


async def _busy(planner: PlannerOnNats, count: int) -> bool:
    consumers = await planner.connection.js.consumers_info(WORK)
    return sum(consumer.num_ack_pending or 0 for consumer in consumers) == count


async def test_runs_go_on_when_a_killed_server_is_back(
    planner: PlannerOnNats, own_server: RunningServer
) -> None:
    planner.model.hold = asyncio.Event()
    planner.model.script = [asks(("count", {})), says("done")]
    planner.start_follower()
    planner.start_worker()
    item = await planner.accept()
    async with asyncio.timeout(10):
        await planner.model.entered.wait()
    own_server.restart(crash=True)
    planner.model.hold.set()
    await planner.until_finished(1)
    later = await planner.accept()
    await planner.until_finished(2)
    assert (await planner.state(item)).final
    assert (await planner.state(later)).final
    assert planner.counted == 2
    ids = [event["id"] for event in await planner.events()]
    assert len(ids) == len(set(ids))


async def test_a_queue_that_cannot_be_swept_any_more_ends_its_process(
    planner: PlannerOnNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise KeyError("state")

    worker = planner.start_worker(lambda item: item.ack())
    monkeypatch.setattr(planner.connection.js, "stream_info", broken)
    with pytest.raises(KeyError):
        await asyncio.wait_for(asyncio.shield(worker), 10)
    await planner.kill(worker)
