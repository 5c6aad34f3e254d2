"""Dead runs in the hands of an operator, on a journal in memory."""

from __future__ import annotations

import pytest

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.gateway.v1.run_pb2 import RunEvent, RunStatus
from malha.api.guard.v1.guard_service_pb2 import Judgement
from malha.api.planner.v1.planner_service_pb2 import DeadRow, ListDeadRunsResponse, RunRow
from malha.api.run.v1.record_pb2 import Action, Content, FinalStatus, JournalEvent, StepKind, Verdict
from malha.clock import SystemClock
from malha.run import Sealer, fold
from malha.testing.journal import MemoryJournal, MemoryKeyRing
from malha.testing.raised import refusal
from malha.testing.records import RecordsOf, ended
from malha.testing.worker import PlayedRun
from malha_gateway.dead import DeadRuns
from malha_gateway.view import View

OTTO = Principal(tenant="house", subject="otto", scopes=["operator"])
OWN = Principal(tenant="acme", subject="ana", scopes=["operator"])
DEAD = FinalStatus.FINAL_STATUS_DEAD


class Morgue:
    """Dead runs and what stands around them."""

    def __init__(self) -> None:
        self.journal = MemoryJournal()
        self.keys = MemoryKeyRing()
        self.sealer = Sealer(self.keys)
        self.checked: list[str] = []
        self.run = RecordsOf()
        self.listed: list[tuple[str, int, str]] = []
        self.dead = DeadRuns(
            journal=self.journal,
            sealer=self.sealer,
            view=View(self.sealer),
            guard=self,  # type: ignore[arg-type] # as far as dead runs need it
            planner=self,  # type: ignore[arg-type] # as far as dead runs need it
            clock=SystemClock(),
        )

    async def dead_runs(self, tenant: str, page_size: int, page_token: str) -> ListDeadRunsResponse:
        self.listed.append((tenant, page_size, page_token))
        row = RunRow(run_id=self.run.run_id, status="DEAD", error_reason="TOO_MANY_DELIVERIES")
        return ListDeadRunsResponse(rows=[DeadRow(tenant="acme", row=row)], next_page_token="next")

    async def check_input(self, text: str, agent: str) -> Judgement:
        self.checked.append(text)
        return Judgement(verdict=Verdict(action=Action.ACTION_ALLOW), text=text)

    async def last_told(self) -> RunEvent:
        """What the tenant's stream tells last; the record of it has no word in the clear."""
        entries = await self.journal.load("acme", self.run.run_id)
        assert b"mended" not in entries[-1].record.SerializeToString()
        ((_, event),) = await View(self.sealer).events(entries[-1], fold(entries))
        return event

    async def accept(self) -> PlayedRun:
        record = self.run.accepted()
        sealed = await self.sealer.seal(
            "acme", self.run.run_id, "accepted", Content(text="my secret question")
        )
        record.events[0].content.CopyFrom(sealed)
        await self.journal.append(record, expected=0)
        return PlayedRun(self.journal, self.sealer, "acme", self.run.run_id)

    async def die(self) -> None:
        worker = await self.accept()
        await worker.claim()
        await worker.start(StepKind.STEP_KIND_TOOL, "calculator", Content(arguments_json='"secret"'))
        await worker.claim(delivery=2)
        await worker.finish(DEAD, "TOO_MANY_DELIVERIES", "given up")


@pytest.fixture
def morgue() -> Morgue:
    return Morgue()


async def test_the_dead_are_listed_with_their_tenants(morgue: Morgue) -> None:
    page = await morgue.dead.list("", 20, "")
    (one,) = page.dead_runs
    assert (one.tenant, one.run.status) == ("acme", RunStatus.RUN_STATUS_DEAD)
    assert one.run.error.reason == "TOO_MANY_DELIVERIES"
    assert page.next_page_token == "next"
    assert morgue.listed == [("", 20, "")]


async def test_an_operator_sees_what_happened_and_not_a_word_of_what_was_said(morgue: Morgue) -> None:
    await morgue.die()
    shown = await morgue.dead.show("acme", morgue.run.run_id)
    assert [claim.delivery for claim in shown.claims] == [1, 2]
    assert [(step.name, step.arguments_json) for step in shown.run.steps] == [("calculator", "")]
    assert shown.run.error.reason == "TOO_MANY_DELIVERIES"
    assert b"secret" not in shown.SerializeToString()


async def test_a_replay_is_signed_and_opens_the_run_once(morgue: Morgue) -> None:
    await morgue.die()
    opened = await morgue.dead.replay(OTTO, "acme", morgue.run.run_id, "the tool is mended")
    assert opened.run.status == RunStatus.RUN_STATUS_QUEUED
    told = (await morgue.last_told()).replayed
    assert (told.by, told.reason) == ("house/otto", "the tool is mended")
    error = await refusal(morgue.dead.replay(OTTO, "acme", morgue.run.run_id, ""))
    assert (error.reason_name, error.metadata["status"]) == ("RUN_NOT_DEAD", "QUEUED")


async def test_a_drop_is_signed_and_final(morgue: Morgue) -> None:
    await morgue.die()
    closed = await morgue.dead.drop(OWN, "acme", morgue.run.run_id, "it cannot be mended")
    assert closed.run.status == RunStatus.RUN_STATUS_CANCELLED
    told = (await morgue.last_told()).dropped
    assert (told.by, told.reason) == ("ana", "it cannot be mended")
    for call in (morgue.dead.replay, morgue.dead.drop):
        assert (await refusal(call(OTTO, "acme", morgue.run.run_id, ""))).reason_name == "RUN_NOT_DEAD"


async def test_of_a_run_that_is_not_dead_no_words_are_taken_and_no_tenant_gets_a_key_by_them(
    morgue: Morgue,
) -> None:
    for call in (morgue.dead.replay, morgue.dead.drop):
        assert (await refusal(call(OTTO, "nobody", "a" * 52, "words"))).reason_name == "RUN_NOT_FOUND"
    assert "nobody" not in morgue.keys._keys
    assert morgue.checked == []


async def test_the_living_and_those_at_rest_are_no_operator_s_business(morgue: Morgue) -> None:
    worker = await morgue.accept()
    assert (await refusal(morgue.dead.show("acme", morgue.run.run_id))).reason_name == "RUN_NOT_DEAD"
    await worker.play()
    error = await refusal(morgue.dead.replay(OTTO, "acme", morgue.run.run_id, ""))
    assert error.metadata["status"] == "SUCCEEDED"
    assert (await refusal(morgue.dead.show("acme", "a" * 52))).reason_name == "RUN_NOT_FOUND"
    assert (
        await refusal(morgue.dead.drop(OTTO, "other", morgue.run.run_id, ""))
    ).reason_name == "RUN_NOT_FOUND"


async def test_a_run_dead_of_its_journal_can_be_seen_and_dropped_but_not_replayed(morgue: Morgue) -> None:
    await morgue.accept()
    broken: JournalEvent = ended(f"acme/{morgue.run.run_id}/1/2/1")
    await morgue.journal.append(morgue.run.record(broken), expected=1)
    shown = await morgue.dead.show("acme", morgue.run.run_id)
    assert shown.run.error.reason == "JOURNAL_BROKEN"
    error = await refusal(morgue.dead.replay(OTTO, "acme", morgue.run.run_id, ""))
    assert error.reason_name == "JOURNAL_BROKEN"
    closed = await morgue.dead.drop(OTTO, "acme", morgue.run.run_id, "")
    assert closed.run.status == RunStatus.RUN_STATUS_CANCELLED


async def test_a_dead_run_in_which_people_were_asked_is_shown_without_what_they_were_asked(
    morgue: Morgue,
) -> None:
    worker = await morgue.accept()
    await worker.claim()
    await worker.ask('"secret"')
    await worker.finish(DEAD, "TOO_MANY_DELIVERIES", "given up")
    shown = await morgue.dead.show("acme", morgue.run.run_id)
    (approval,) = shown.run.approvals
    assert approval.approvals_needed == 1
    assert (approval.summary, approval.arguments_json) == ("", "")
