"""The gateway as callers meet it: over sockets, on real NATS and Valkey, with peers that do as told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from malha.api.gateway.v1 import event_stream_service_pb2 as events_pb
from malha.api.gateway.v1 import knowledge_service_pb2 as knowledge_pb
from malha.api.gateway.v1 import run_service_pb2 as runs_pb
from malha.api.gateway.v1.run_pb2 import ApprovalStatus, RunStatus
from malha.api.planner.v1.planner_service_pb2 import RunRow
from malha.api.retrieval.v1.retrieval_pb2 import Document, IngestStatus
from malha.api.run.v1.record_pb2 import Decision
from malha.stack.secrets import Secrets
from malha.testing.door import Door, refusal, running
from malha.testing.peers import BLOCKED_WORD


async def test_a_run_is_created_waited_for_read_and_streamed(door: Door) -> None:
    run_id = await door.create()
    await door.worker.of(run_id).play()
    run = (await door.runs.GetRun(runs_pb.GetRunRequest(run_id=run_id), metadata=door.key)).run
    assert run.status == RunStatus.RUN_STATUS_SUCCEEDED
    assert run.trace_id == "ab" * 16
    request = runs_pb.StreamRunRequest(run_id=run_id)
    streamed = [answer.event async for answer in door.runs.StreamRun(request, metadata=door.key)]
    assert streamed[0].accepted.trace_id == run.trace_id
    assert streamed[-1].finished.answer == "391"
    resumed = runs_pb.StreamRunRequest(run_id=run_id, after=streamed[4].position)
    rest = [answer.event async for answer in door.runs.StreamRun(resumed, metadata=door.key)]
    assert rest == streamed[5:]


async def test_waiting_answers_when_the_run_ends(door: Door) -> None:
    request = runs_pb.RunAndWaitRequest(input="17 * 23?", idempotency_key="wait")
    waiting = asyncio.ensure_future(door.runs.RunAndWait(request, metadata=door.key, timeout=20))
    again = runs_pb.CreateRunRequest(input="17 * 23?", idempotency_key="wait")
    run_id = (await door.runs.CreateRun(again, metadata=door.key)).run.run_id
    await door.worker.of(run_id).play("391")
    assert (await waiting).run.answer == "391"


@pytest.mark.parametrize("seconds", [0.2, 1.0])
async def test_a_caller_whose_time_ends_first_hears_which_run_goes_on_before_it_ends(
    door: Door, seconds: float
) -> None:
    request = runs_pb.RunAndWaitRequest(input="17 * 23?")
    error = await refusal(door.runs.RunAndWait(request, metadata=door.key, timeout=seconds))
    assert error.reason_name == "DEADLINE_EXCEEDED"
    asked = runs_pb.GetRunRequest(run_id=error.metadata["run_id"])
    run = (await door.runs.GetRun(asked, metadata=door.key)).run
    assert run.status == RunStatus.RUN_STATUS_QUEUED


async def test_server_sent_events_tell_the_same_as_the_typed_stream(door: Door) -> None:
    run_id = await door.create()
    await door.worker.of(run_id).play()

    async def blocks(*metadata: tuple[str, str]) -> list[str]:
        request = events_pb.StreamRunEventsRequest(run_id=run_id)
        parts = [part async for part in door.events.StreamRunEvents(request, metadata=(*door.key, *metadata))]
        assert parts[0].content_type == "text/event-stream"
        text = b"".join(part.data for part in parts).decode()
        return [block for block in text.split("\n\n") if block.startswith("id: ")]

    whole = await blocks()
    request = runs_pb.StreamRunRequest(run_id=run_id)
    typed = [answer.event async for answer in door.runs.StreamRun(request, metadata=door.key)]
    assert [block.split("\n")[0] for block in whole] == [f"id: {event.position}" for event in typed]
    last_seen = typed[2].position
    assert await blocks(("last-event-id", last_seen)) == whole[3:]
    error = await refusal(door.drained(run_id, (*door.key, ("last-event-id", "yesterday"))))
    assert error.violations[0][0] == "last-event-id"


async def test_an_idle_event_stream_says_that_it_is_alive(
    tmp_path: Path, secrets: Secrets, nats_url: str, valkey_url: str
) -> None:
    async with running(tmp_path, secrets, nats_url, valkey_url, heartbeat_seconds=0.01) as door:
        run_id = await door.create()
        request = events_pb.StreamRunEventsRequest(run_id=run_id)
        call = door.events.StreamRunEvents(request, metadata=door.key)
        async with asyncio.timeout(5):
            async for part in call:
                if part.data.startswith(b":"):
                    break
        call.cancel()


async def test_cancelling_is_journaled_and_a_finished_run_is_left_as_it_is(door: Door) -> None:
    run_id = await door.create()
    request = runs_pb.CancelRunRequest(run_id=run_id, reason="enough")
    await door.runs.CancelRun(request, metadata=door.key)
    entries = await door.worker.journal.load("dev", run_id)
    assert entries[-1].record.events[0].cancel_requested.by == "developer"
    other = await door.create()
    await door.worker.of(other).play()
    error = await refusal(door.runs.CancelRun(runs_pb.CancelRunRequest(run_id=other), metadata=door.key))
    assert (error.reason_name, error.metadata["status"]) == ("RUN_FINISHED", "SUCCEEDED")


async def test_a_list_is_the_planner_s_and_so_are_its_errors(door: Door) -> None:
    door.peers.planner.rows = [RunRow(run_id="a" * 52, agent="default", status="FAILED", error_reason="X")]
    page = await door.runs.ListRuns(runs_pb.ListRunsRequest(filter='status = "FAILED"'), metadata=door.key)
    assert page.runs[0].status == RunStatus.RUN_STATUS_FAILED
    assert page.runs[0].error.reason == "X"
    assert door.peers.planner.asked[-1].page_size == 20
    error = await refusal(door.runs.ListRuns(runs_pb.ListRunsRequest(filter="colour = 1"), metadata=door.key))
    assert error.violations[0][0] == "filter"


async def test_of_several_documents_the_bad_are_refused_with_reasons_and_the_others_found(door: Door) -> None:
    documents = [
        Document(name="a.md", text="# A"),
        Document(name="big.bin", content=b"x" * 5_000_001),
        Document(name="empty.md"),
        Document(name="b.md", content=b"x" * 5_000_000),
    ]
    request = knowledge_pb.IngestRequest(documents=documents)
    outcomes = (await door.knowledge.Ingest(request, metadata=door.key)).outcomes
    refused = {o.name: o.reason for o in outcomes if o.status == IngestStatus.INGEST_STATUS_REFUSED}
    assert [outcome.name for outcome in outcomes] == ["a.md", "big.bin", "empty.md", "b.md"]
    assert set(refused) == {"big.bin", "empty.md"}
    assert all(refused.values())
    search = knowledge_pb.SearchRequest(query="A")
    passages = (await door.knowledge.Search(search, metadata=door.key)).passages
    assert [passage.document for passage in passages] == ["a.md", "b.md"]


async def test_a_waiting_call_is_listed_decided_and_told_to_whoever_follows(door: Door) -> None:
    run_id = await door.create()
    played = door.worker.of(run_id)
    await played.claim()
    await played.model_asks("stop", '{"line": 3}')
    await played.ask('{"line": 3}', approvals=2)
    door.peers.planner.rows = [RunRow(run_id=run_id, status="WAITING")]
    bo, cleo = [await door.new_key(scopes=["approvals"]), await door.new_key(scopes=["runs"])]

    page = await door.runs.ListApprovals(runs_pb.ListApprovalsRequest(), metadata=bo)
    assert door.peers.planner.asked[-1].filter == 'status = "WAITING"'
    (approval,) = page.approvals
    assert (approval.summary, approval.arguments_json) == ('stop with {"line": 3}', '{"line": 3}')
    assert approval.initiator == "developer"

    def said(decision: Decision, **more: Any) -> runs_pb.DecideApprovalRequest:
        fields = {"run_id": run_id, "hash": approval.hash, "decision": decision, **more}
        return runs_pb.DecideApprovalRequest(**fields)

    approve = said(Decision.DECISION_APPROVE)
    unscoped = await refusal(door.runs.DecideApproval(approve, metadata=cleo))
    assert (unscoped.reason_name, unscoped.metadata["scope"]) == ("SCOPE_MISSING", "approvals")
    poisoned = said(Decision.DECISION_REJECT, comment=BLOCKED_WORD)
    assert (await refusal(door.runs.DecideApproval(poisoned, metadata=bo))).reason_name == "GUARD_BLOCKED"
    malformed = said(Decision.DECISION_UNSPECIFIED)
    malformed.hash = "short"
    bad = await refusal(door.runs.DecideApproval(malformed, metadata=bo))
    assert {field for field, _ in bad.violations} == {"hash", "decision"}

    first = (await door.runs.DecideApproval(said(Decision.DECISION_APPROVE, comment="well"), metadata=bo)).run
    assert first.status == RunStatus.RUN_STATUS_WAITING
    assert [one.comment for one in first.approvals[0].decisions] == ["well"]
    twice = await refusal(door.runs.DecideApproval(approve, metadata=bo))
    assert twice.reason_name == "APPROVAL_DECIDED"
    page = await door.runs.ListApprovals(runs_pb.ListApprovalsRequest(), metadata=bo)
    assert list(page.approvals) == [], "it waits for others"
    rejected = (await door.runs.DecideApproval(said(Decision.DECISION_REJECT), metadata=door.key)).run
    assert rejected.approvals[0].status == ApprovalStatus.APPROVAL_STATUS_REJECTED

    stream = door.runs.StreamRun(runs_pb.StreamRunRequest(run_id=run_id), metadata=door.key)
    told = []
    async for answer in stream:
        told.append(answer.event)
        if len([one for one in told if one.HasField("decided")]) == 2:
            break
    stream.cancel()
    kinds = [event.WhichOneof("event") for event in told]
    assert kinds[-4:] == ["approval_requested", "waiting", "decided", "decided"]
    assert told[-3].waiting.metadata["hash"] == approval.hash
    assert [len(event.decided.decisions) for event in told[-2:]] == [1, 2]
