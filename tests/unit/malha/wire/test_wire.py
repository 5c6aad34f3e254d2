"""What every RPC of the mesh can rely on, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import cast

import grpc.aio
import pytest
from google.rpc import code_pb2

from malha import errors
from malha.api.common.v1.principal_pb2 import Principal
from malha.api.gateway.v1 import knowledge_service_pb2 as knowledge
from malha.api.gateway.v1 import knowledge_service_pb2_grpc as knowledge_grpc
from malha.api.gateway.v1 import run_service_pb2_grpc
from malha.api.guard.v1 import guard_service_pb2 as guard
from malha.api.guard.v1 import guard_service_pb2_grpc as guard_grpc
from malha.api.retrieval.v1.retrieval_pb2 import Document
from malha.client import Client
from malha.errors import ErrorReason, MalhaError
from malha.limits.breaker import BreakerOpenError
from malha.stack.free_ports import free_port
from malha.telemetry import span
from malha.testing.obedient import ASK, DEV, ObedientGuard, ask, cutting_off, identities
from malha.testing.stubs import in_part
from malha.wire import Peer, Server, acting_for, codec
from malha.wire.chain import validate
from malha_gateway.adapters.parts import ServicePart

Mesh = tuple[ObedientGuard, dict[str, Peer]]
"""The callee, and whoever may call it, by name."""


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """For all that is connected to from then on; nothing serves there."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")


@pytest.fixture
async def mesh() -> AsyncIterator[Mesh]:
    who = identities("gateway", "tools", "guard", "stranger")
    servicer = ObedientGuard()
    server = Server("guard", identity=who["guard"], allow=frozenset({"gateway", "tools"}))
    server.add(guard_grpc.add_GuardServiceServicer_to_server, servicer)
    port = await server.start("127.0.0.1:0")
    peers = {name: Peer("guard", f"127.0.0.1:{port}", identity=who[name]) for name in who}
    edge = Peer("guard", f"127.0.0.1:{port}", identity=who["gateway"], silence_is_absence=True)
    peers["at the edge"] = edge
    yield servicer, peers
    for peer in peers.values():
        await peer.close()
    await server.drain(0)


async def test_a_call_carries_principal_caller_and_a_shrunken_deadline(mesh: Mesh) -> None:
    servicer, peers = mesh
    await ask(peers["gateway"], timeout=3.0)
    tenant, caller, remaining = servicer.seen[0]
    assert (tenant, caller) == ("dev", "gateway")
    assert 2.0 < remaining < 3.0


async def test_a_service_that_is_not_on_the_list_is_refused(mesh: Mesh) -> None:
    servicer, peers = mesh
    with pytest.raises(MalhaError) as refused:
        await ask(peers["stranger"])
    assert refused.value.reason == ErrorReason.ERROR_REASON_CALLER_NOT_ALLOWED
    assert servicer.seen == []


async def test_a_proxy_of_the_environment_sees_no_call_between_services(proxy: None, mesh: Mesh) -> None:
    """It would be told whose data it is, and the tokens."""
    _, peers = mesh
    await ask(peers["gateway"])


async def test_a_token_for_one_service_is_worthless_to_another() -> None:
    who = identities("gateway", "guard", "cost")
    token = who["gateway"].mint("guard", DEV)
    assert who["guard"].verify(token) == ("gateway", DEV)
    with pytest.raises(MalhaError, match="not valid"):
        who["cost"].verify(token)


async def test_a_token_signed_by_another_key_is_refused() -> None:
    who, forged = identities("gateway", "guard"), identities("gateway", "guard")
    with pytest.raises(MalhaError, match="not valid"):
        who["guard"].verify(forged["gateway"].mint("guard", DEV))


async def test_a_call_without_a_token_is_unauthenticated(mesh: Mesh) -> None:
    servicer, peers = mesh
    stub = guard_grpc.GuardServiceStub(peers["gateway"].channel)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Check(ASK)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert servicer.seen == []


async def test_an_error_arrives_with_every_fact_it_left_with(mesh: Mesh) -> None:
    _, peers = mesh
    with pytest.raises(MalhaError) as raised:
        await ask(peers["tools"], "refuse")
    error = raised.value
    assert error.reason == ErrorReason.ERROR_REASON_RATE_LIMITED
    assert error.code == code_pb2.RESOURCE_EXHAUSTED
    assert error.metadata == {"limit": "10"}
    assert error.retry_after == 2.5
    assert error.quota == ("key:k1", "10 a minute")


async def test_calls_that_fail_of_one_error_are_told_of_a_trace_of_their_own_each(mesh: Mesh) -> None:
    """Those who share a transaction share its failure; the trace of one is nothing to another."""

    for trace in ("ab" * 16, "cd" * 16):
        with span("ask", parent=f"00-{trace}-{'ef' * 8}-01"), pytest.raises(MalhaError) as told:
            await ask(mesh[1]["gateway"], "fail together")
        assert told.value.trace_id == trace


async def test_a_fault_of_ours_tells_the_caller_nothing_internal(mesh: Mesh) -> None:
    _, peers = mesh
    with pytest.raises(MalhaError) as raised:
        await ask(peers["tools"], "explode")
    assert raised.value.reason == ErrorReason.ERROR_REASON_INTERNAL
    assert "shadow" not in str(raised.value)


async def test_a_request_against_the_contract_names_each_field(mesh: Mesh) -> None:
    servicer, peers = mesh
    stub = guard_grpc.GuardServiceStub(peers["gateway"].channel)
    with acting_for(DEV, timeout=5), pytest.raises(MalhaError) as raised:
        await peers["gateway"].call(stub.Check, guard.CheckRequest(), timeout=5)
    assert {field for field, _ in raised.value.violations} == {"stage", "texts"}
    assert servicer.seen == []


async def test_a_request_that_is_wrong_all_over_is_told_so_and_not_to_come_again() -> None:
    async def anyone(_metadata: object) -> Principal:
        return DEV

    server = Server("gateway", authenticate=anyone)
    servicer = in_part(knowledge_grpc.KnowledgeServiceServicer)
    server.add(knowledge_grpc.add_KnowledgeServiceServicer_to_server, servicer)
    port = await server.start("127.0.0.1:0")
    nameless = knowledge.IngestRequest(documents=[Document(text="hello")] * 400)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await knowledge_grpc.KnowledgeServiceStub(channel).Ingest(nameless)
    await server.drain(0)
    told = codec.from_rpc(raised.value, "gateway")
    assert told.reason == ErrorReason.ERROR_REASON_FIELD_INVALID
    assert "documents[0].name" in dict(told.violations)


async def test_a_request_that_is_no_message_is_refused_in_our_shape_to_those_who_may_know(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def of_dev(metadata: Mapping[str, str]) -> Principal:
        if metadata.get("x-api-key") != "dev":
            raise MalhaError(ErrorReason.ERROR_REASON_CREDENTIAL_MISSING, "send a key")
        return DEV

    server = Server("gateway", authenticate=of_dev)
    server.add(
        run_service_pb2_grpc.add_RunServiceServicer_to_server,
        in_part(run_service_pb2_grpc.RunServiceServicer),
    )
    port = await server.start("127.0.0.1:0")

    async def refusal(key: str, *, streamed: bool) -> MalhaError:
        sent, metadata = b"\x0a\x02\xff\xfe", (("x-api-key", key),)
        with pytest.raises(grpc.aio.AioRpcError) as raised:  # noqa: PT012  # either call, and the same refusal
            if streamed:
                await channel.unary_stream(path + "StreamRun", bytes)(sent, metadata=metadata).read()
            else:
                await channel.unary_unary(path + "GetRun", bytes)(sent, metadata=metadata)
        return codec.from_rpc(raised.value, "gateway")

    path = "/malha.api.gateway.v1.RunService/"
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            for streamed in (False, True):
                stranger = await refusal("none", streamed=streamed)
                assert stranger.reason == ErrorReason.ERROR_REASON_CREDENTIAL_MISSING
                told = await refusal("dev", streamed=streamed)
                assert told.reason == ErrorReason.ERROR_REASON_FIELD_INVALID
                assert "UTF-8" in told.message
    finally:
        await server.drain(0)
    assert "Traceback" not in capfd.readouterr().err


def test_of_a_large_request_the_first_fault_is_told_and_no_others_are_looked_for() -> None:
    empty_documents = knowledge.IngestRequest.FromString(b"\x0a\x00" * 300_000)
    with pytest.raises(MalhaError) as refused:
        validate(empty_documents)
    assert [field for field, _ in refused.value.violations] == ["documents"]


async def test_work_that_cannot_finish_in_time_is_cancelled_at_the_callee(mesh: Mesh) -> None:
    servicer, peers = mesh
    with pytest.raises(MalhaError) as raised:
        await ask(peers["gateway"], "hang", timeout=0.2)
    assert raised.value.reason == ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED
    async with asyncio.timeout(5):
        await servicer.cancelled.wait()


async def test_one_that_is_silent_is_away_to_whoever_has_time_left_and_asked_for_that(mesh: Mesh) -> None:
    _, peers = mesh
    at_the_edge = peers["at the edge"]
    with pytest.raises(MalhaError) as raised:
        await ask(at_the_edge, "hang", timeout=0.2)
    assert raised.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
    assert raised.value.retry_after
    with pytest.raises(MalhaError) as late:
        await ask(at_the_edge, "hang", timeout=5.0, left=0.2)
    assert late.value.reason == ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED


async def test_a_callee_that_is_away_is_unavailable_with_a_time_to_come_back() -> None:
    who = identities("gateway", "guard")
    peer = Peer("guard", "127.0.0.1:1", identity=who["gateway"])
    with pytest.raises(MalhaError) as raised:
        await ask(peer, timeout=2)
    await peer.close()
    assert raised.value.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE
    assert raised.value.retry_after


async def test_a_callee_that_is_away_is_soon_left_alone_however_many_call_it_at_once() -> None:
    peer = Peer("guard", "127.0.0.1:1", identity=identities("gateway", "guard")["gateway"])
    async with asyncio.timeout(10):
        while True:
            ends = await asyncio.gather(*(ask(peer) for _ in range(8)), return_exceptions=True)
            assert all(isinstance(end, MalhaError) for end in ends), ends
            if any(isinstance(end, BreakerOpenError) for end in ends):
                break
    await peer.close()


async def test_a_callee_is_reached_however_often_its_address_was_tried_in_vain_before_by_another() -> None:
    """Ports are used again; gRPC would not look for a while where an earlier channel was refused."""
    who, port = identities("gateway", "guard"), free_port()
    before = Peer("guard", f"127.0.0.1:{port}", identity=who["gateway"])
    with pytest.raises(MalhaError):
        await ask(before)
    server = Server("guard", identity=who["guard"], allow=frozenset({"gateway"}))
    server.add(guard_grpc.add_GuardServiceServicer_to_server, ObedientGuard())
    await server.start(f"127.0.0.1:{port}")
    peer = Peer("guard", f"127.0.0.1:{port}", identity=who["gateway"])
    await ask(peer)
    await asyncio.gather(before.close(), peer.close())
    await server.drain(0)


async def test_callers_in_a_hurry_do_not_have_a_healthy_callee_left_alone(mesh: Mesh) -> None:
    _, peers = mesh
    peer = peers["gateway"]
    stub = guard_grpc.GuardServiceStub(peer.channel)
    hang = guard.CheckRequest(stage=guard.STAGE_INPUT, texts=["hang"])

    async def in_a_hurry() -> None:
        with acting_for(DEV, timeout=0.05), pytest.raises(MalhaError) as raised:
            await peer.call(stub.Check, hang, timeout=5)
        assert raised.value.reason == ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED

    await asyncio.gather(*(in_a_hurry() for _ in range(20)))
    await ask(peer)


async def test_a_callee_that_does_not_answer_in_the_time_it_is_given_is_soon_left_alone(mesh: Mesh) -> None:
    _, peers = mesh
    ends = [ask(peers["gateway"], "hang", timeout=0.05) for _ in range(5)]
    await asyncio.gather(*ends, return_exceptions=True)
    assert peers["gateway"]._breaker.state == "open"


async def test_a_call_whose_answer_was_cut_off_fails_and_answers_nothing() -> None:
    async with cutting_off("malha.api.guard.v1.GuardService", "Check") as port:
        peer = Peer("guard", f"127.0.0.1:{port}", identity=identities("gateway", "guard")["gateway"])
        (answer,) = await asyncio.gather(ask(peer), return_exceptions=True)
        await peer.close()
    assert isinstance(answer, MalhaError)
    assert answer.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE


async def test_a_part_whose_answer_was_cut_off_does_not_answer() -> None:
    async with cutting_off("grpc.health.v1.Health", "Check") as port:
        peer = Peer("guard", f"127.0.0.1:{port}", identity=identities("gateway", "guard")["gateway"])
        (answers,) = await asyncio.gather(ServicePart(peer).answers(), return_exceptions=True)
        await peer.close()
    assert answers is False


async def test_a_client_whose_answer_was_cut_off_is_told_that_it_may_ask_again() -> None:
    get_run = cutting_off("malha.api.gateway.v1.RunService", "GetRun")
    async with get_run as port, Client(f"127.0.0.1:{port}") as client:
        (answer,) = await asyncio.gather(client.run("a" * 52), return_exceptions=True)
    assert isinstance(answer, MalhaError)
    assert answer.reason == ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE


def test_every_reason_has_a_code() -> None:
    for name, value in ErrorReason.items():
        if value:
            assert MalhaError(cast(errors.Reason, value), "x").code, name
    assert errors.reason_named("of another version") == ErrorReason.ERROR_REASON_INTERNAL
