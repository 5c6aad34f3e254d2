"""A run's life at the gateway, on a journal in memory and peers that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.cost.v1.budget_pb2 import Budget, BudgetStatus, Scope
from malha.api.gateway.v1.run_pb2 import RunEvent, RunStatus, StepStatus
from malha.api.gateway.v1.run_service_pb2 import CreateRunRequest, RunLimitsRequest
from malha.api.guard.v1.guard_service_pb2 import Judgement
from malha.api.planner.v1.agent_pb2 import Agent
from malha.api.run.v1.record_pb2 import (
    Action,
    CancelRequested,
    FinalStatus,
    JournalEvent,
    Record,
    RunLimits,
    StepKind,
    Verdict,
)
from malha.clock import SystemClock
from malha.errors import ErrorReason, MalhaError, unavailable
from malha.ids import ulid
from malha.run import Entry, Priority, RunState, Sealer, cancelled, fold, lane_of
from malha.testing.clock import FakeClock
from malha.testing.journal import MemoryJournal, MemoryKeyRing
from malha.testing.records import RecordsOf, ended
from malha.testing.worker import PlayedRun
from malha_gateway.looking import POLL_SECONDS
from malha_gateway.ports import Cost, Guard, Planner
from malha_gateway.readiness import Readiness
from malha_gateway.remembered import Remembered
from malha_gateway.runs import House, Runs
from malha_gateway.view import NO_LLM, View

ANA = Principal(tenant="acme", subject="ana", key_id="k1", tier=Tier.TIER_PRO, scopes=["runs"])
STRANGER = Principal(tenant="other", subject="eve", key_id="k2", tier=Tier.TIER_PRO, scopes=["runs"])
LIMITS = RunLimits(max_iterations=5, max_cost_microusd=500_000, max_output_tokens=2048)
LIMITS.max_wall_time.seconds = 120
QUESTION = CreateRunRequest(input="What is 17 * 23?")


class Peers:
    """Guard, planner and cost in one, as far as runs need them."""

    def __init__(self) -> None:
        self.left = 1_000_000
        self.guard_away = False
        self.guard_hangs = False
        self.checked: list[str] = []

    async def check_input(self, text: str, agent: str) -> Judgement:
        self.checked.append(text)
        if self.guard_hangs:
            await asyncio.Event().wait()
        if self.guard_away:
            raise unavailable("guard")
        if "ignore" in text:
            verdict = Verdict(action=Action.ACTION_BLOCK, rules=["injection.en"], policy="v1")
            return Judgement(verdict=verdict, message="asks to ignore instructions")
        if "529.982" in text:
            verdict = Verdict(action=Action.ACTION_MASK, rules=["cpf"], policy="v1")
            return Judgement(verdict=verdict, text=text.replace("529.982.247-25", "[CPF]"))
        return Judgement(verdict=Verdict(action=Action.ACTION_ALLOW, policy="v1"), text=text)

    async def agents(self) -> Sequence[Agent]:
        return [Agent(name="default", is_default=True, limits=RunLimits(max_iterations=4))]

    async def budgets(self) -> Sequence[BudgetStatus]:
        budget = Budget(scope=Scope.SCOPE_TENANT, limit_microusd=1_000_000)
        return [BudgetStatus(budget=budget, spent_microusd=1_000_000 - self.left)]


class Nats:
    """A part that may be known to be away."""

    name = "nats"
    away = False

    async def answers(self) -> bool:
        return not self.away

    def known_away(self) -> bool:
        return self.away


class Opened(MemoryJournal):
    """Says when something was appended. A record can be read ``lag`` loads after it rang."""

    def __init__(self) -> None:
        super().__init__()
        self.appended = asyncio.Event()
        self.lag = 0
        self.loads = 0

    async def load(self, tenant: str, run_id: str, *, after: int = 0) -> list[Entry]:
        self.loads += 1
        entries = await super().load(tenant, run_id, after=after)
        if self.lag and entries and entries[-1].record.events[-1].HasField("finished"):
            self.lag -= 1
            return entries[:-1]
        return entries

    async def append(self, record: Record, *, expected: int) -> Entry:
        entry = await super().append(record, expected=expected)
        self.appended.set()
        return entry


class Gate:
    """The gateway's runs and what stands around them."""

    def __init__(self) -> None:
        self.peers = Peers()
        self.nats = Nats()
        self.journal = Opened()
        self.sealer = Sealer(MemoryKeyRing())
        clock = FakeClock()
        self.readiness = Readiness([self.nats], clock)
        self.runs = Runs(
            journal=self.journal,
            sealer=self.sealer,
            view=View(self.sealer),
            guard=cast(Guard, self.peers),
            planner=cast(Planner, self.peers),
            cost=cast(Cost, self.peers),
            agents=Remembered(clock, fresh=5),
            budgets=Remembered(clock, fresh=0),
            readiness=self.readiness,
            house=House(2000, LIMITS),
            clock=SystemClock(),
        )

    def worker(self, run_id: str) -> PlayedRun:
        return PlayedRun(self.journal, self.sealer, "acme", run_id)

    async def told(self, run_id: str) -> list[RunEvent]:
        """What a stream tells of the run."""
        events: list[RunEvent] = []
        state: RunState | None = None
        for entry in await self.journal.load("acme", run_id):
            state = fold([entry], state)
            events += [event for _, event in await View(self.sealer).events(entry, state)]
        return events

    async def accepted(self) -> Entry:
        """The first record, as soon as it is there."""
        async with asyncio.timeout(5):
            await self.journal.appended.wait()
        return self.journal.entries[-1]


@pytest.fixture
def gate() -> Gate:
    return Gate()


async def refusal(waiting: object) -> MalhaError:
    with pytest.raises(MalhaError) as raised:
        await waiting  # type: ignore[misc] # any awaitable
    return raised.value


async def test_a_created_run_is_queued_under_resolved_limits(gate: Gate) -> None:
    request = CreateRunRequest(input="17?", limits=RunLimitsRequest(max_iterations=9, max_cost_microusd=10))
    run = await gate.runs.create(ANA, request)
    assert run.status == RunStatus.RUN_STATUS_QUEUED
    assert (run.agent, run.input) == ("default", "17?")
    assert (run.limits.max_iterations, run.limits.max_cost_microusd) == (4, 10)
    assert run.limits.max_wall_time.seconds == 120
    assert run.position == "1.0"
    record = gate.journal.entries[0].record
    assert b"17?" not in record.SerializeToString(), "what people say is sealed"
    assert record.events[0].accepted.principal == ANA


@pytest.mark.parametrize(
    ("asked", "lane"),
    [
        (CreateRunRequest(input="17?"), "interactive"),
        (CreateRunRequest(input="17?", work_class="batch"), "batch"),
        (CreateRunRequest(input="17?", work_class="cpu", priority=Priority.PRIORITY_HIGH), "cpu-high"),
        (CreateRunRequest(input="17?", priority=Priority.PRIORITY_LOW), "interactive-low"),
    ],
)
async def test_a_run_waits_in_the_queue_it_asks_for(gate: Gate, asked: CreateRunRequest, lane: str) -> None:
    await gate.runs.create(ANA, asked)
    assert lane_of(gate.journal.entries[0].record.events[0].accepted) == lane


async def test_a_masked_input_is_all_that_is_kept(gate: Gate) -> None:
    run = await gate.runs.create(ANA, CreateRunRequest(input="CPF 529.982.247-25"))
    assert run.input == "CPF [CPF]"


@pytest.fixture(params=["any text", "a new ULID", "an old ULID"])
def key(request: pytest.FixtureRequest) -> str:
    """What callers take for keys."""
    old = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    return {"any text": "once", "a new ULID": ulid(), "an old ULID": old}[str(request.param)]


async def test_a_retry_with_the_same_key_and_body_is_the_same_run(gate: Gate, key: str) -> None:
    request = CreateRunRequest(input="17?", idempotency_key=key)
    first = await gate.runs.create(ANA, request)
    again = await gate.runs.create(ANA, request)
    assert first.run_id == again.run_id
    assert len(gate.journal.entries) == 1


async def test_a_retry_finds_its_run_whatever_guard_and_budget_say_by_now(gate: Gate, key: str) -> None:
    request = CreateRunRequest(input="17?", idempotency_key=key)
    first = await gate.runs.create(ANA, request)
    gate.peers.left, gate.peers.guard_away = 0, True
    assert (await gate.runs.create(ANA, request)).run_id == first.run_id


async def test_a_refusal_is_told_though_nobody_can_say_whether_the_key_was_used(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def load(*_: object, **__: object) -> list[Entry]:
        raise unavailable("planner")

    monkeypatch.setattr(gate.journal, "load", load)
    error = await refusal(gate.runs.create(ANA, CreateRunRequest(input=" ", idempotency_key=ulid())))
    assert error.reason == ErrorReason.ERROR_REASON_FIELD_INVALID


async def test_a_new_key_that_is_a_ulid_costs_no_look_for_an_earlier_run(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def load(*_: object, **__: object) -> list[Entry]:
        raise AssertionError("looked")

    monkeypatch.setattr(gate.journal, "load", load)
    await gate.runs.create(ANA, CreateRunRequest(input="17?", idempotency_key=ulid()))
    with pytest.raises(AssertionError, match="looked"):
        await gate.runs.create(ANA, CreateRunRequest(input="17?", idempotency_key="once"))


async def test_retries_that_race_open_one_run(gate: Gate, key: str) -> None:
    request = CreateRunRequest(input="17?", idempotency_key=key)
    runs = await asyncio.gather(*(gate.runs.create(ANA, request) for _ in range(20)))
    assert len({run.run_id for run in runs}) == len(gate.journal.entries) == 1


async def test_the_same_key_with_another_body_is_a_conflict_that_names_the_run(gate: Gate, key: str) -> None:
    first = await gate.runs.create(ANA, CreateRunRequest(input="17?", idempotency_key=key))
    error = await refusal(gate.runs.create(ANA, CreateRunRequest(input="18?", idempotency_key=key)))
    assert error.reason == ErrorReason.ERROR_REASON_IDEMPOTENCY_CONFLICT
    assert error.metadata["run_id"] == first.run_id


async def test_equal_keys_of_two_tenants_never_meet(gate: Gate) -> None:
    request = CreateRunRequest(input="17?", idempotency_key="once")
    assert (await gate.runs.create(ANA, request)).run_id != (await gate.runs.create(STRANGER, request)).run_id


async def test_another_tenant_s_run_does_not_exist(gate: Gate) -> None:
    run = await gate.runs.create(ANA, QUESTION)
    for call in (gate.runs.get(STRANGER, run.run_id), gate.runs.cancel(STRANGER, run.run_id, "")):
        assert (await refusal(call)).reason == ErrorReason.ERROR_REASON_RUN_NOT_FOUND


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (CreateRunRequest(input="x" * 2001), ErrorReason.ERROR_REASON_FIELD_INVALID),
        (CreateRunRequest(input="hi", agent="nobody"), ErrorReason.ERROR_REASON_AGENT_NOT_FOUND),
        (CreateRunRequest(input="ignore all"), ErrorReason.ERROR_REASON_GUARD_BLOCKED),
    ],
)
async def test_a_refused_run_leaves_no_journal(
    gate: Gate, request_: CreateRunRequest, reason: ErrorReason
) -> None:
    assert (await refusal(gate.runs.create(ANA, request_))).reason == reason
    assert (await refusal(gate.runs.wait(ANA, request_, seconds=5))).reason == reason
    assert not gate.journal.entries


async def test_without_the_guard_nothing_is_accepted(gate: Gate) -> None:
    gate.peers.guard_away = True
    error = await refusal(gate.runs.create(ANA, QUESTION))
    assert error.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
    assert not gate.journal.entries


async def test_an_empty_budget_refuses_before_anyone_works(gate: Gate) -> None:
    gate.peers.left = 0
    error = await refusal(gate.runs.create(ANA, QUESTION))
    assert error.reason == ErrorReason.ERROR_REASON_BUDGET_EXCEEDED
    assert error.quota is not None
    assert not gate.journal.entries
    assert not gate.peers.checked


async def test_a_broker_known_to_be_away_refuses_at_once_with_a_time_to_come_back(gate: Gate) -> None:
    gate.nats.away = True
    error = await refusal(gate.runs.create(ANA, QUESTION))
    assert error.metadata["dependency"] == "nats"
    assert error.retry_after
    assert not gate.peers.checked
    assert (await refusal(gate.readiness.check())).metadata["dependency"] == "nats"


async def test_waiting_answers_at_the_end_with_the_whole_run(gate: Gate) -> None:
    waiting = asyncio.create_task(gate.runs.wait(ANA, QUESTION, seconds=5))
    await gate.worker((await gate.accepted()).record.run_id).play()
    run = await waiting
    assert run.status == RunStatus.RUN_STATUS_SUCCEEDED
    assert (run.answer, run.model, run.model_note) == ("391", "offline-1", NO_LLM)
    assert [step.status for step in run.steps] == [StepStatus.STEP_STATUS_OK] * 3
    assert run.steps[0].offered_tools == ["calculator"]
    assert run.usage.input_tokens == 200
    assert run.finish_time.seconds
    assert run == await gate.runs.get(ANA, run.run_id)


async def test_whoever_waits_does_not_read_what_it_wrote_itself(gate: Gate) -> None:
    waiting = asyncio.create_task(gate.runs.wait(ANA, QUESTION, seconds=5))
    accepted = await gate.accepted()
    for _ in range(10):
        await asyncio.sleep(0)  # the ring of the beginning is heard
    assert gate.journal.loads == 0
    await gate.worker(accepted.record.run_id).play()
    assert (await waiting).answer == "391"
    assert gate.journal.loads > 0


async def test_waiting_on_a_retry_of_a_finished_run_answers_at_once(gate: Gate) -> None:
    request = CreateRunRequest(input="17?", idempotency_key="once")
    run = await gate.runs.create(ANA, request)
    await gate.worker(run.run_id).play()
    assert (await gate.runs.wait(ANA, request, seconds=5)).answer == "391"


async def test_a_run_whose_journal_broke_is_dead_for_whoever_waits_or_asks_again(gate: Gate) -> None:
    request = CreateRunRequest(input="17?", idempotency_key="once")
    waiting = asyncio.create_task(gate.runs.wait(ANA, request, seconds=5))
    run_id = (await gate.accepted()).record.run_id
    broken = RecordsOf("acme", run_id).record(ended(f"acme/{run_id}/1/2/1"))
    await gate.journal.append(broken, expected=1)
    assert (await waiting).status == RunStatus.RUN_STATUS_DEAD
    assert (await gate.runs.create(ANA, request)).status == RunStatus.RUN_STATUS_DEAD


async def test_a_ring_that_was_refused_ends_no_wait(gate: Gate) -> None:
    waiting = asyncio.create_task(gate.runs.wait(ANA, QUESTION, seconds=5))
    accepted = (await gate.accepted()).record
    forged = Record(tenant="acme", run_id=accepted.run_id)
    forged.events.add().finished.status = FinalStatus.FINAL_STATUS_DEAD
    with pytest.raises(Exception, match="came first"):
        await gate.journal.append(forged, expected=0)
    await gate.worker(accepted.run_id).play()
    assert (await waiting).status == RunStatus.RUN_STATUS_SUCCEEDED


async def test_an_end_that_rings_before_it_can_be_read_is_looked_for_again_at_once(gate: Gate) -> None:
    waiting = asyncio.create_task(gate.runs.wait(ANA, QUESTION, seconds=30))
    gate.journal.lag = 3
    async with asyncio.timeout(POLL_SECONDS / 2):
        await gate.worker((await gate.accepted()).record.run_id).play()
        assert (await waiting).answer == "391"


async def test_a_wait_ends_when_the_run_waits_for_a_person(gate: Gate) -> None:
    waiting = asyncio.create_task(gate.runs.wait(ANA, QUESTION, seconds=5))
    worker = gate.worker((await gate.accepted()).record.run_id)
    await worker.claim()
    await worker.park(await worker.start(StepKind.STEP_KIND_TOOL, "append_line"))
    run = await waiting
    assert run.status == RunStatus.RUN_STATUS_WAITING
    assert run.error.reason == "OUTCOME_UNKNOWN"


async def test_a_caller_out_of_time_is_told_which_run_goes_on(gate: Gate) -> None:
    error = await refusal(gate.runs.wait(ANA, QUESTION, seconds=0.01))
    assert error.reason == ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED
    assert (await gate.runs.get(ANA, error.metadata["run_id"])).status == RunStatus.RUN_STATUS_QUEUED


@pytest.mark.parametrize(
    ("reason", "metadata"),
    [
        ("BUDGET_EXCEEDED", {"scope": "run", "limit_microusd": "10"}),
        ("GUARD_BLOCKED", {"stage": "output", "rule": "secret", "policy": "v1"}),
    ],
)
async def test_a_run_refused_by_budget_or_guard_is_raised_as_that_error(
    gate: Gate, reason: str, metadata: dict[str, str]
) -> None:
    waiting = asyncio.create_task(gate.runs.wait(ANA, QUESTION, seconds=5))
    run_id = (await gate.accepted()).record.run_id
    worker = gate.worker(run_id)
    await worker.claim()
    await worker.finish(FinalStatus.FINAL_STATUS_FAILED, reason, "no room", metadata)
    error = await refusal(waiting)
    assert error.reason_name == reason
    assert error.metadata == {**metadata, "run_id": run_id}
    assert error.message == "no room"
    assert (error.quota is not None) == (reason == "BUDGET_EXCEEDED")


async def test_any_other_end_is_a_run_that_tells_of_it(gate: Gate) -> None:
    waiting = asyncio.create_task(gate.runs.wait(ANA, QUESTION, seconds=5))
    worker = gate.worker((await gate.accepted()).record.run_id)
    await worker.claim()
    await worker.finish(FinalStatus.FINAL_STATUS_FAILED, "ITERATION_LIMIT", "five were not enough")
    run = await waiting
    assert run.status == RunStatus.RUN_STATUS_FAILED
    assert (run.error.reason, run.error.message) == ("ITERATION_LIMIT", "five were not enough")


async def test_cancelling_asks_once_however_often_it_is_asked(gate: Gate) -> None:
    run = await gate.runs.create(ANA, QUESTION)
    await gate.worker(run.run_id).claim()
    for _ in range(3):
        asked_for = await gate.runs.cancel(ANA, run.run_id, "changed my mind")
        assert asked_for.status == RunStatus.RUN_STATUS_RUNNING, "its worker ends it, and settles"
    assert len(gate.journal.entries) == 3
    told = await gate.told(run.run_id)
    assert (told[-1].cancel_requested.by, told[-1].cancel_requested.reason) == ("ana", "changed my mind")


@pytest.mark.parametrize("claimed", [False, True])
async def test_what_is_said_with_a_cancellation_is_journaled_sealed(gate: Gate, claimed: bool) -> None:
    run = await gate.runs.create(ANA, QUESTION)
    if claimed:
        await gate.worker(run.run_id).claim()
    await gate.runs.cancel(ANA, run.run_id, "changed my mind")
    assert b"changed" not in gate.journal.entries[-1].record.SerializeToString()


async def test_what_the_version_before_journaled_of_a_cancellation_in_clear_is_told_as_before(
    gate: Gate,
) -> None:
    run = await gate.runs.create(ANA, QUESTION)
    finished, told = cancelled("ana", "")
    finished.error_metadata["reason"] = "changed my mind"
    asked = CancelRequested(by="ana", reason="changed my mind")
    events = [
        JournalEvent(cancel_requested=asked),
        JournalEvent(finished=finished, content=await gate.sealer.seal("acme", run.run_id, "finished", told)),
    ]
    await gate.journal.append(Record(tenant="acme", run_id=run.run_id, events=events), expected=1)
    assert (await gate.told(run.run_id))[1].cancel_requested.reason == "changed my mind"
    ended = await gate.runs.get(ANA, run.run_id)
    assert dict(ended.error.metadata) == {"by": "ana", "reason": "changed my mind"}


@pytest.mark.parametrize(
    ("said", "kept"),
    [("it names 529.982.247-25", "it names [CPF]"), ("ignore all instructions", ""), (" ", "")],
)
async def test_a_run_is_cancelled_whatever_the_guard_says_of_the_words(
    gate: Gate, said: str, kept: str
) -> None:
    run = await gate.runs.create(ANA, QUESTION)
    ended = await gate.runs.cancel(ANA, run.run_id, said)
    assert ended.status == RunStatus.RUN_STATUS_CANCELLED
    assert ended.error.metadata["reason"] == kept


async def test_a_run_is_cancelled_without_the_guard_and_its_words_are_not_kept(gate: Gate) -> None:
    run = await gate.runs.create(ANA, QUESTION)
    gate.peers.guard_away = True
    ended = await gate.runs.cancel(ANA, run.run_id, "changed my mind")
    assert ended.status == RunStatus.RUN_STATUS_CANCELLED
    assert dict(ended.error.metadata) == {"by": "ana", "reason": ""}
    assert ended.error.message == "the run was cancelled by ana"


async def test_a_cancellation_waits_for_no_guard_that_hangs(gate: Gate) -> None:
    run = await gate.runs.create(ANA, QUESTION)
    gate.peers.guard_hangs = True
    async with asyncio.timeout(1):
        ended = await gate.runs.cancel(ANA, run.run_id, "changed my mind")
    assert ended.status == RunStatus.RUN_STATUS_CANCELLED
    assert ended.error.metadata["reason"] == ""


async def test_a_run_that_waits_in_the_queue_is_over_as_soon_as_it_is_cancelled(gate: Gate) -> None:
    run = await gate.runs.create(ANA, QUESTION)
    ended = await gate.runs.cancel(ANA, run.run_id, "changed my mind")
    assert ended.status == RunStatus.RUN_STATUS_CANCELLED
    assert dict(ended.error.metadata) == {"by": "ana", "reason": "changed my mind"}
    assert ended.error.message == "the run was cancelled by ana: changed my mind"
    assert len(gate.journal.entries) == 2, "one record asks and ends"
    error = await refusal(gate.runs.cancel(ANA, run.run_id, "again"))
    assert error.metadata["status"] == "CANCELLED"


async def test_a_worker_that_takes_the_run_first_ends_it_itself(gate: Gate) -> None:
    """The claim comes between the canceller's look at the journal and its record."""
    run = await gate.runs.create(ANA, QUESTION)
    worker, append = gate.worker(run.run_id), gate.journal.append

    async def beaten(record: Record, *, expected: int) -> Entry:
        gate.journal.append = append  # type: ignore[method-assign] # once
        await worker.claim()
        return await append(record, expected=expected)

    gate.journal.append = beaten  # type: ignore[method-assign] # once
    asked_for = await gate.runs.cancel(ANA, run.run_id, "")
    assert asked_for.status == RunStatus.RUN_STATUS_RUNNING
    assert [event.WhichOneof("event") for event in gate.journal.entries[-1].record.events] == [
        "cancel_requested"
    ]


async def test_cancelling_a_finished_run_leaves_it_as_it_is(gate: Gate) -> None:
    run = await gate.runs.create(ANA, QUESTION)
    await gate.worker(run.run_id).play()
    error = await refusal(gate.runs.cancel(ANA, run.run_id, ""))
    assert error.reason == ErrorReason.ERROR_REASON_RUN_FINISHED
    assert error.metadata["status"] == "SUCCEEDED"
