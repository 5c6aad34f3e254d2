"""The gateway as callers meet it: over sockets, on real NATS and Valkey, with peers that do as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from malha.api.common.v1.principal_pb2 import Tier
from malha.api.cost.v1.budget_pb2 import Budget, Scope, Window
from malha.api.gateway.v1 import admin_service_pb2 as admin_pb
from malha.api.gateway.v1 import agent_service_pb2 as agents_pb
from malha.api.gateway.v1 import event_stream_service_pb2 as events_pb
from malha.api.gateway.v1 import health_service_pb2 as health_pb
from malha.api.gateway.v1 import knowledge_service_pb2 as knowledge_pb
from malha.api.gateway.v1 import operator_service_pb2 as operator_pb
from malha.api.gateway.v1 import run_service_pb2 as runs_pb
from malha.api.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from malha.api.gateway.v1.agent_service_pb2_grpc import AgentServiceStub
from malha.api.gateway.v1.event_stream_service_pb2_grpc import EventStreamServiceStub
from malha.api.gateway.v1.health_service_pb2_grpc import HealthServiceStub
from malha.api.gateway.v1.knowledge_service_pb2_grpc import KnowledgeServiceStub
from malha.api.gateway.v1.operator_service_pb2_grpc import OperatorServiceStub
from malha.api.gateway.v1.run_pb2 import ApprovalStatus, RunStatus
from malha.api.gateway.v1.run_service_pb2_grpc import RunServiceStub
from malha.api.planner.v1.planner_service_pb2 import RunRow
from malha.api.retrieval.v1.retrieval_pb2 import Document, IngestStatus
from malha.api.run.v1.record_pb2 import Decision, FinalStatus
from malha.errors import MalhaError
from malha.run import Sealer, pack
from malha.run.nats_journal import (
    RUNS,
    Connection,
    NatsJournal,
    NatsKeyRing,
    connect,
    overwrite,
    read_master_key,
)
from malha.stack.secrets import Secrets
from malha.testing.gateways import running_gateway
from malha.testing.peers import BLOCKED_WORD, FakePeers
from malha.testing.servers import RunningServer
from malha.testing.worker import PlayedRun
from malha.wire import codec

Metadata = tuple[tuple[str, str], ...]
TRACEPARENT = ("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01")


class Door:
    """A running gateway, a caller's stubs, and a worker that plays runs."""

    def __init__(self, target: str, peers: FakePeers, api_key: str, worker: _Worker) -> None:
        self.peers = peers
        self.key: Metadata = (("authorization", f"Bearer {api_key}"),)
        self.worker = worker
        self.channel = grpc.aio.insecure_channel(target)
        self.runs = RunServiceStub(self.channel)
        self.events = EventStreamServiceStub(self.channel)
        self.knowledge = KnowledgeServiceStub(self.channel)
        self.agents = AgentServiceStub(self.channel)
        self.admin = AdminServiceStub(self.channel)
        self.operator = OperatorServiceStub(self.channel)
        self.health = HealthServiceStub(self.channel)

    async def create(self, text: str = "What is 17 * 23?", **fields: Any) -> str:
        request = runs_pb.CreateRunRequest(input=text, **fields)
        response = await self.runs.CreateRun(request, metadata=(*self.key, TRACEPARENT), timeout=10)
        return response.run.run_id

    async def new_key(self, **fields: Any) -> Metadata:
        request = admin_pb.CreateApiKeyRequest(subject="bo", **fields)
        made = await self.admin.CreateApiKey(request, metadata=self.key)
        return (("x-api-key", made.api_key),)


class _Worker:
    """Plays runs as the planner would."""

    def __init__(self, connection: Connection, sealer: Sealer) -> None:
        self.connection = connection
        self.journal = NatsJournal(connection)
        self.sealer = sealer

    def of(self, run_id: str, tenant: str = "dev") -> PlayedRun:
        return PlayedRun(self.journal, self.sealer, tenant, run_id)


@asynccontextmanager
async def running(
    tmp_path: Path, secrets: Secrets, nats_url: str, valkey_url: str, **settings: Any
) -> AsyncIterator[Door]:
    async with (
        FakePeers(secrets) as peers,
        running_gateway(
            tmp_path, secrets, peers, nats_url=nats_url, valkey_url=valkey_url, **settings
        ) as port,
    ):
        connection = await connect(nats_url, name="worker")
        master = read_master_key(secrets.of("planner") / "master.key")
        worker = _Worker(connection, Sealer(NatsKeyRing(connection, master)))
        door = Door(f"127.0.0.1:{port}", peers, secrets.api_key, worker)
        try:
            yield door
        finally:
            await door.channel.close()
            await connection.close()


@pytest.fixture
async def door(tmp_path: Path, secrets: Secrets, nats_url: str, valkey_url: str) -> AsyncIterator[Door]:
    async with running(tmp_path, secrets, nats_url, valkey_url) as made:
        yield made


async def refusal(call: Awaitable[object]) -> MalhaError:
    """What a call was refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    error = codec.from_rpc(raised.value, "gateway")
    assert "Traceback" not in error.message
    return error


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
    error = await refusal(_drained(door, run_id, (*door.key, ("last-event-id", "yesterday"))))
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


async def _drained(door: Door, run_id: str, metadata: Metadata) -> None:
    request = events_pb.StreamRunEventsRequest(run_id=run_id)
    async for _ in door.events.StreamRunEvents(request, metadata=metadata):
        pass


async def test_no_key_a_wrong_key_and_a_revoked_key_are_refused(door: Door) -> None:
    request = agents_pb.ListAgentsRequest()
    assert (await refusal(door.agents.ListAgents(request))).reason_name == "CREDENTIAL_MISSING"
    wrong = (("authorization", "Bearer mk_dev_" + "x" * 43),)
    error = await refusal(door.agents.ListAgents(request, metadata=wrong))
    assert error.reason_name == "CREDENTIAL_INVALID"
    made = await door.admin.CreateApiKey(admin_pb.CreateApiKeyRequest(subject="bo"), metadata=door.key)
    key = (("x-api-key", made.api_key),)
    await door.agents.ListAgents(request, metadata=key)
    await door.admin.RevokeApiKey(admin_pb.RevokeApiKeyRequest(key_id=made.key_id), metadata=door.key)
    assert (await refusal(door.agents.ListAgents(request, metadata=key))).reason_name == "CREDENTIAL_INVALID"


async def test_a_stream_ends_with_the_key_that_opened_it(door: Door) -> None:
    """The run is another key's, and goes on."""
    run_id = await door.create()
    made = await door.admin.CreateApiKey(admin_pb.CreateApiKeyRequest(subject="bo"), metadata=door.key)
    key = (("x-api-key", made.api_key),)
    typed = door.runs.StreamRun(runs_pb.StreamRunRequest(run_id=run_id), metadata=key)
    as_sse = door.events.StreamRunEvents(events_pb.StreamRunEventsRequest(run_id=run_id), metadata=key)
    assert (await anext(aiter(typed))).event.HasField("accepted")
    assert b"retry" in (await anext(aiter(as_sse))).data
    assert b"accepted" in (await anext(aiter(as_sse))).data
    await door.admin.RevokeApiKey(admin_pb.RevokeApiKeyRequest(key_id=made.key_id), metadata=door.key)
    await door.worker.of(run_id).play()
    assert (await refusal(anext(aiter(typed)))).reason_name == "CREDENTIAL_INVALID"
    told = await anext(aiter(as_sse))
    assert told.data.startswith(b"event: error")
    assert b"CREDENTIAL_INVALID" in told.data
    assert (await refusal(anext(aiter(as_sse)))).reason_name == "CREDENTIAL_INVALID"


async def test_a_key_without_the_scope_is_refused_by_its_name(door: Door) -> None:
    key = await door.new_key(scopes=["runs"])
    error = await refusal(door.admin.GetBudget(admin_pb.GetBudgetRequest(), metadata=key))
    assert (error.reason_name, error.metadata["scope"]) == ("SCOPE_MISSING", "admin")


async def test_another_tenant_s_run_is_not_found_by_any_call(door: Door) -> None:
    run_id = await door.create()
    key = await door.new_key(tenant="other", tier=Tier.TIER_PRO)
    for call in (
        door.runs.GetRun(runs_pb.GetRunRequest(run_id=run_id), metadata=key),
        door.runs.CancelRun(runs_pb.CancelRunRequest(run_id=run_id), metadata=key),
        _drained(door, run_id, key),
    ):
        error = await refusal(call)
        assert error.reason_name == "RUN_NOT_FOUND"
        assert "dev" not in error.message


async def test_bad_input_is_answered_by_the_field_s_name(door: Door) -> None:
    for text in ("", " ", "x" * 2001):
        error = await refusal(door.create(text))
        assert error.reason_name == "FIELD_INVALID"
        assert error.violations[0][0] == "input"
    error = await refusal(door.create(agent="nobody"))
    assert error.reason_name == "AGENT_NOT_FOUND"
    assert error.metadata["agents"] == "default, prices"


async def test_a_blocked_input_names_stage_rule_and_policy(door: Door) -> None:
    error = await refusal(door.create(f"a {BLOCKED_WORD} please"))
    assert error.reason_name == "GUARD_BLOCKED"
    assert error.metadata == {"stage": "input", "rule": "injection.test", "policy": "test-1"}


async def test_an_idempotency_key_with_another_body_is_a_conflict(door: Door) -> None:
    run_id = await door.create("17?", idempotency_key="once")
    assert await door.create("17?", idempotency_key="once") == run_id
    error = await refusal(door.create("18?", idempotency_key="once"))
    assert (error.reason_name, error.metadata["run_id"]) == ("IDEMPOTENCY_CONFLICT", run_id)


async def test_over_the_rate_the_caller_is_told_when_to_come_back(door: Door) -> None:
    key = await door.new_key(tenant="small")
    call = door.agents.ListAgents
    for _ in range(10):
        await call(agents_pb.ListAgentsRequest(), metadata=key)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call(agents_pb.ListAgentsRequest(), metadata=key)
    error = codec.from_rpc(raised.value, "gateway")
    assert error.reason_name == "RATE_LIMITED"
    assert 0 < (error.retry_after or 0) <= 6
    sent = raised.value.initial_metadata()
    assert sent is not None
    assert int(sent["retry-after"]) in range(1, 7)


async def test_an_empty_budget_is_a_quota_failure_until_it_is_raised(door: Door) -> None:
    door.peers.cost.spent_microusd = 25_000_000
    error = await refusal(door.create())
    assert error.reason_name == "BUDGET_EXCEEDED"
    assert error.quota
    budget = Budget(scope=Scope.SCOPE_TENANT, window=Window.WINDOW_DAY, limit_microusd=30_000_000)
    await door.admin.SetBudget(admin_pb.SetBudgetRequest(budget=budget), metadata=door.key)
    statuses = (await door.admin.GetBudget(admin_pb.GetBudgetRequest(), metadata=door.key)).statuses
    assert statuses[0].budget.limit_microusd == 30_000_000
    await door.create()


async def test_cancelling_is_journaled_and_a_finished_run_is_left_as_it_is(door: Door) -> None:
    run_id = await door.create()
    request = runs_pb.CancelRunRequest(run_id=run_id, reason="enough")
    await door.runs.CancelRun(request, metadata=door.key)
    entries = await door.worker.journal.load("dev", run_id)
    assert entries[-1].record.events[0].cancel_requested.reason == "enough"
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


async def test_health_needs_no_key_and_names_what_is_away(door: Door) -> None:
    # a part that is asked for the first time may take longer than it is given
    await _until_answered(lambda: door.health.CheckHealth(health_pb.CheckHealthRequest()))
    assert (await door.health.CheckHealth(health_pb.CheckHealthRequest())).status == "ready"
    await door.peers.stop("guard")
    error = await _until_refused(lambda: door.health.CheckHealth(health_pb.CheckHealthRequest()))
    assert error.metadata["dependency"] == "guard"
    refused = await refusal(door.create())
    assert refused.reason_name == "DEPENDENCY_UNAVAILABLE"
    assert refused.retry_after


@pytest.mark.parametrize("server", ["nats_server", "valkey_server"])
async def test_without_nats_or_valkey_runs_are_refused_and_come_back_by_themselves(
    door: Door, server: str, request: pytest.FixtureRequest
) -> None:
    running_server: RunningServer = request.getfixturevalue(server)
    before = await door.create("still here?", idempotency_key="kept")
    running_server.kill()
    try:
        error = await _until_refused(lambda: door.create())
        assert error.reason_name == "DEPENDENCY_UNAVAILABLE"
        assert error.retry_after
        await _until_refused(lambda: door.health.CheckHealth(health_pb.CheckHealthRequest()))
    finally:
        running_server.start()
    await _until_answered(lambda: door.create())
    await _until_answered(lambda: door.health.CheckHealth(health_pb.CheckHealthRequest()))
    run = (await door.runs.GetRun(runs_pb.GetRunRequest(run_id=before), metadata=door.key)).run
    assert run.input == "still here?"


async def test_an_operator_lists_shows_replays_and_drops_the_dead_and_nobody_else_may(door: Door) -> None:
    run_id = await door.create("a secret question")
    worker = door.worker.of(run_id)
    await worker.claim()
    await worker.finish(FinalStatus.FINAL_STATUS_DEAD, "TOO_MANY_DELIVERIES", "given up")
    door.peers.planner.rows = [RunRow(run_id=run_id, status="DEAD", error_reason="TOO_MANY_DELIVERIES")]
    try:
        page = await door.operator.ListDeadRuns(
            operator_pb.ListDeadRunsRequest(tenant="dev"), metadata=door.key
        )
    finally:
        door.peers.planner.rows = []
    assert [(one.tenant, one.run.run_id) for one in page.dead_runs] == [("dev", run_id)]
    get = operator_pb.GetDeadRunRequest(tenant="dev", run_id=run_id)
    shown = (await door.operator.GetDeadRun(get, metadata=door.key)).dead_run
    assert len(shown.claims) == 1
    assert b"secret" not in shown.SerializeToString()

    replay = operator_pb.ReplayDeadRunRequest(tenant="dev", run_id=run_id, reason="mended")
    drop = operator_pb.DropDeadRunRequest(tenant="dev", run_id=run_id)
    user = await door.new_key(scopes=["runs", "admin"])
    for call in (
        door.operator.ListDeadRuns(operator_pb.ListDeadRunsRequest(), metadata=user),
        door.operator.GetDeadRun(get, metadata=user),
        door.operator.ReplayDeadRun(replay, metadata=user),
        door.operator.DropDeadRun(drop, metadata=user),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert codec.from_rpc(refused.value, "gateway").metadata["scope"] == "operator"

    opened = (await door.operator.ReplayDeadRun(replay, metadata=door.key)).dead_run
    assert opened.run.status == RunStatus.RUN_STATUS_QUEUED
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await door.operator.DropDeadRun(drop, metadata=door.key)
    assert codec.from_rpc(refused.value, "gateway").reason_name == "RUN_NOT_DEAD"
    again = door.worker.of(run_id)
    await again.play()
    request = runs_pb.StreamRunRequest(run_id=run_id)
    kinds = [one.event.WhichOneof("event") async for one in door.runs.StreamRun(request, metadata=door.key)]
    assert kinds[:4] == ["accepted", "claimed", "finished", "replayed"]
    assert kinds[-2:] == ["answered", "finished"]


async def _until_refused(call: Callable[[], Awaitable[object]]) -> MalhaError:
    async with asyncio.timeout(20):
        while True:
            try:
                await call()
            except grpc.aio.AioRpcError as error:
                return codec.from_rpc(error, "gateway")
            await asyncio.sleep(0.02)


async def _until_answered(call: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await call()
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.02)
            else:
                return


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


async def archived(door: Door, key: str) -> str:
    """A run that is over, moved to the archive as the planner moves it."""
    run_id = await door.create(idempotency_key=key)
    await door.worker.of(run_id).play()
    entries = await door.worker.journal.load("dev", run_id)
    door.peers.planner.archived["dev", run_id] = pack(entries)
    for entry in entries:
        await overwrite(door.worker.connection, RUNS, entry.sequence)
    return run_id


async def test_an_archived_run_is_read_page_by_page_and_its_key_finds_it(door: Door) -> None:
    run_id = await archived(door, "archived-1")
    found = (await door.runs.GetRun(runs_pb.GetRunRequest(run_id=run_id), metadata=door.key)).run
    assert (found.status, found.answer) == (RunStatus.RUN_STATUS_SUCCEEDED, "391")
    stream = door.runs.StreamRun(runs_pb.StreamRunRequest(run_id=run_id), metadata=door.key)
    kinds = [answer.event.WhichOneof("event") async for answer in stream]
    assert (kinds[0], kinds[-1]) == ("accepted", "finished")
    assert await door.create(idempotency_key="archived-1") == run_id
    over = await refusal(door.runs.CancelRun(runs_pb.CancelRunRequest(run_id=run_id), metadata=door.key))
    assert over.reason_name == "RUN_FINISHED"


async def test_without_the_planner_nobody_guesses_what_the_archive_holds(door: Door) -> None:
    """A key might be that of an archived run: only a run without a key, or with a known one, is accepted."""
    known = await door.create(idempotency_key="agents are known from now on")
    run_id = await archived(door, "archived-2")
    await door.peers.stop("planner")
    away = await refusal(
        door.runs.GetRun(runs_pb.GetRunRequest(run_id=run_id), metadata=door.key, timeout=10)
    )
    assert away.reason_name in ("DEPENDENCY_UNAVAILABLE", "DEADLINE_EXCEEDED")
    unknown = await refusal(door.runs.CreateRun(request("never used"), metadata=door.key, timeout=10))
    assert unknown.reason_name == "DEPENDENCY_UNAVAILABLE"
    assert await door.create(idempotency_key="agents are known from now on") == known
    assert await door.create()


def request(key: str) -> runs_pb.CreateRunRequest:
    return runs_pb.CreateRunRequest(input="What is 17 * 23?", idempotency_key=key)


async def test_erasing_is_for_admins_and_a_tenants_for_operators(door: Door) -> None:
    run = admin_pb.EraseRunRequest(run_id="a" * 52)
    tenant = admin_pb.EraseTenantRequest(tenant="acme")
    plain = await door.new_key(scopes=["runs"])
    admin = await door.new_key(scopes=["runs", "admin"])
    assert (await refusal(door.admin.EraseRun(run, metadata=plain))).metadata["scope"] == "admin"
    assert (await refusal(door.admin.EraseTenant(tenant, metadata=admin))).metadata["scope"] == "operator"
    await door.admin.EraseRun(run, metadata=admin)
    assert (await door.admin.EraseTenant(tenant, metadata=door.key)).runs == 1
    assert door.peers.planner.erased == [("dev", "a" * 52), ("acme", "")]
