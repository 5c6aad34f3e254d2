"""Alerts of the ledger on a real stream: announced once each, among all other events, whoever dies."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

import pytest

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.cost.v1.cost_service_pb2 import AlertName
from malha.api.event.v1.alert_pb2 import Alert
from malha.clock import SystemClock
from malha.errors import unavailable
from malha.run import Entry, Journal, alert_id, erased_id
from malha.run.nats_journal import Connection, NatsJournal
from malha.tasks import end
from malha.testing.planner import says
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.shop import until
from malha.wire import acting_for
from malha_planner.alerting import RUNAWAY, Alerter

ANA = Principal(tenant="acme", subject="ana")


class Ledger:
    """What a ledger wants to be told."""

    def __init__(self) -> None:
        self.waiting: dict[str, Alert] = {}
        self.deaf = 0
        """How often it does not hear that something was announced."""

    def wants(self, *about: str, tenant: str = "acme", run_id: str = "") -> Alert:
        alert = Alert(
            id=alert_id(tenant, *about), tenant=tenant, type=about[0], scope="tenant", run_id=run_id
        )
        alert.spent_microusd = 800
        alert.time.FromSeconds(1_800_000_000)
        self.waiting[alert.id] = alert
        return alert

    async def untold(self) -> Sequence[Alert]:
        return list(self.waiting.values())

    async def told(self, alerts: Sequence[AlertName]) -> None:
        if self.deaf:
            self.deaf -= 1
            raise unavailable("cost")
        for name in alerts:
            assert self.waiting.pop(name.id).tenant == name.tenant

    async def silent(self) -> bool:
        """Whether all was told."""
        return not self.waiting


@pytest.fixture
def ledger(planner: PlannerOnNats) -> Ledger:
    return told_by(planner, planner.stream_journal)


def told_by(planner: PlannerOnNats, journal: Journal) -> Ledger:
    """A ledger whose alerts the planner's followers announce."""
    made = Ledger()
    alerter = Alerter(
        journal=journal,
        alerts=made,
        streams=planner.streams,
        acting=acting_for,
        recording=planner.recording,
        clock=SystemClock(),
    )
    planner.chores = [alerter, planner.eraser()]
    return made


async def test_an_alert_leaves_as_an_event_of_its_tenant_under_its_own_id(
    planner: PlannerOnNats, ledger: Ledger
) -> None:
    alert = ledger.wants("budget_warned", "2026-01-15")
    heard = await planner.connection.nc.subscribe("malha.event.acme.alert.budget_warned")
    planner.start_follower()
    await heard.next_msg(timeout=10)
    await until(ledger.silent)
    [event] = await planner.events()
    assert (event["id"], event["type"], event["source"]) == (
        alert.id,
        "malha.alert.budget_warned",
        "/malha/cost",
    )
    assert event["time"] == "2027-01-15T08:00:00Z"
    assert event["data"] == {
        "id": alert.id,
        "tenant": "acme",
        "type": "budget_warned",
        "time": "2027-01-15T08:00:00Z",
        "scope": "tenant",
        "spent_microusd": "800",
    }


async def test_each_is_announced_once_though_the_ledger_does_not_hear_of_it_and_leaders_change(
    planner: PlannerOnNats, ledger: Ledger
) -> None:
    planner.model.script = [says("done")] * 3
    planner.start_worker()
    for turn in range(3):
        alerts = [ledger.wants("budget_braked", str(turn), str(number)) for number in range(3)]
        ledger.deaf = 1
        follower = planner.start_follower()
        await planner.accept()
        await planner.until_finished(turn + 1)

        async def announced(last: str = alerts[-1].id) -> bool:
            return any(event["id"] == last for event in await planner.events())

        await until(announced)
        await planner.kill(follower)
    planner.start_follower()
    await until(ledger.silent)
    ids = [str(event["id"]) for event in await planner.events()]
    assert len(ids) == len(set(ids))
    assert sum(1 for event in await planner.events() if event["type"] == "malha.alert.budget_braked") == 9
    assert sum(1 for event in await planner.events() if event["type"] == "malha.run.finished") == 3


async def test_what_was_announced_leaves_the_stream_of_runs(planner: PlannerOnNats, ledger: Ledger) -> None:
    alert = ledger.wants("budget_stopped", "x")
    planner.start_follower()

    async def left() -> bool:
        return not ledger.waiting and not await planner.stream_journal.load("acme", alert.id)

    await until(left)


async def test_what_people_were_told_of_a_run_is_erased_with_it(
    planner: PlannerOnNats, ledger: Ledger
) -> None:
    planner.model.script = [says("done")]
    planner.start_follower()
    planner.start_worker()
    item = await planner.accept()
    await planner.until_finished(1)
    alert = ledger.wants(RUNAWAY, item.run_id, run_id=item.run_id)
    await until(ledger.silent)
    assert [e["subject"] for e in await planner.events() if e["type"] == "malha.alert.runaway_run"] == [
        item.run_id
    ]
    await planner.erase_requests().erase_run(ANA, item.run_id)
    assert not await planner.stream_journal.load("acme", alert.id)
    assert [event["type"] for event in await planner.events()] == ["malha.run.erased"]
    ledger.wants(RUNAWAY, item.run_id, run_id=item.run_id)
    await until(ledger.silent)
    assert [event["type"] for event in await planner.events()] == ["malha.run.erased"]


class Awaited(asyncio.Lock):
    """A lock that says when somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.somebody = asyncio.Event()

    async def acquire(self) -> Literal[True]:
        if self.locked():
            self.somebody.set()
        return await super().acquire()


class SlowToAnswer(NatsJournal):
    """A journal whose answer to the question whether a run was erased is old when it comes."""

    def __init__(self, connection: Connection, run_id: str) -> None:
        super().__init__(connection)
        self._erased = erased_id("acme", run_id)
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    async def load(self, tenant: str, run_id: str, *, after: int = 0) -> list[Entry]:
        entries = await super().load(tenant, run_id, after=after)
        if run_id == self._erased:
            self.asked.set()
            await self.answer.wait()
        return entries


async def test_an_alert_about_a_run_that_is_erased_in_the_same_moment_does_not_outlive_it(
    planner: PlannerOnNats,
) -> None:
    planner.model.script = [says("done")]
    planner.start_worker()
    item = await planner.accept()
    journal = SlowToAnswer(planner.connection, item.run_id)
    planner.recording = lock = Awaited()
    ledger = told_by(planner, journal)
    planner.start_follower()
    await planner.until_finished(1)
    alert = ledger.wants(RUNAWAY, item.run_id, run_id=item.run_id)
    await journal.asked.wait()
    erasing = asyncio.create_task(planner.erase_requests().erase_run(ANA, item.run_id))
    waiting = asyncio.create_task(lock.somebody.wait())
    await asyncio.wait((erasing, waiting), return_when=asyncio.FIRST_COMPLETED)
    journal.answer.set()
    await end(waiting)
    await erasing
    await until(ledger.silent)
    assert not await planner.stream_journal.load("acme", alert.id)
    assert [event["type"] for event in await planner.events()] == ["malha.run.erased"]
