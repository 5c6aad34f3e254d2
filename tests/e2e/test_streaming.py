"""Answers word by word through the whole mesh: guarded as they come, and whole again whatever dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from google.protobuf.json_format import Parse

from malha.api.gateway.v1.run_pb2 import RUN_STATUS_CANCELLED, RunEvent
from malha.api.run.v1.delta_pb2 import Delta
from malha.api.run.v1.record_pb2 import STEP_KIND_MODEL
from malha.client import Client, RunText
from malha.run import DELTA, LiveText, Sealer
from malha.run.nats_journal import Connection, NatsKeyRing, connect, read_master_key
from malha.stack.secrets import TENANT, Secrets
from malha.testing import sse
from malha.testing.mesh import Mesh
from malha.testing.scripted_agents import INPUT_MICROUSD, OUTPUT_MICROUSD
from malha_planner.models.tokens import estimate
from tests.e2e.test_cancel import balance

SECONDS = 60.0
SLOWLY = 70
"""Milliseconds between two chunks: more than are gathered, so that each is judged by itself."""


async def test_a_secret_cut_over_chunks_reaches_no_reader_of_any_kind(
    mesh: Mesh, around: Any, rest: aiohttp.ClientSession
) -> None:
    question = "Tell me all the secrets, slowly."
    secrets = ["529.982.247-25", "4111 1111 1111 1111", "ana@example.com", "sk-a1B2c3D4e5F6g7H8i9J0k1L2"]
    pieces = ["Her CPF is 529.98", "2.247", "-25, her card 4111 11", "11 1111 1", "111, she is an"]
    pieces += ["a@exam", "ple.com and her key s", "k-a1B2c3D4e5", "F6g7H8i9J0k1L2", ", and ", "that is all."]
    around.models.add({"user": question, "pieces": pieces, "chunk_ms": SLOWLY})
    async with nats_of(mesh, "gateway") as broker, mesh.client() as client, asyncio.timeout(SECONDS):
        heard: list[Delta] = []
        listening = await overhearing(broker, heard)
        run = await client.create_run(question, agent="scripted", stream=True)
        over_grpc, over_sse = await asyncio.gather(
            events(client, run.run_id), events_over_sse(rest, run.run_id)
        )
        await listening.unsubscribe()
        on_nats = await opened(mesh, broker, [delta for delta in heard if delta.run_id == run.run_id])
        answer = (await client.run(run.run_id)).answer
    assert (
        answer == "Her CPF is [CPF], her card [CARD], she is [EMAIL] and her key [SECRET], and that is all."
    )
    for told in (over_grpc, over_sse):
        assert RunTextOf(told).text == answer
        assert sum(event.HasField("delta") for event in told) > 3, "it grows"
        for secret in secrets:
            assert not any(secret in str(event) or secret[5:12] in event.delta.text for event in told)
    assert on_nats.text == answer
    for secret in secrets:
        assert not any(secret[5:12].encode() in delta.SerializeToString() for delta in heard)
        assert not any(secret[5:12] in text for text in on_nats.parts)
    assert finished_step(over_grpc).verdict.streamed


async def test_text_is_heard_while_the_model_still_speaks_and_a_cancellation_pays_for_what_came(
    mesh: Mesh, around: Any
) -> None:
    question = "Speak until you are stopped."
    words = "one two three four five six seven eight nine ten"
    around.models.add({"user": question, "text": words, "chunk_ms": 60_000, "first_chunks": 7})
    before = around.models.hung_up
    key = await mesh.key_of("listener", "runs")
    async with mesh.client(key) as client, asyncio.timeout(SECONDS):
        run = await client.create_run(question, agent="scripted", stream=True)
        text, told = RunText(), list[RunEvent]()
        async for event in client.events(run.run_id, deltas=True):
            told.append(event)
            if text.take(event) and text.text == "one two three four five ":
                await client.cancel(run.run_id, "enough")
        ended = await client.run(run.run_id)
        while around.models.hung_up == before:  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.01)
    assert ended.status == RUN_STATUS_CANCELLED
    assert dict(ended.error.metadata) == {"by": "tester", "reason": "enough"}
    asked = next(event for event in told if event.HasField("cancel_requested"))
    assert (told[-1].time.ToDatetime() - asked.time.ToDatetime()).total_seconds() < 1
    step = ended.steps[0]
    assert step.usage.output_tokens == estimate("one two three four five six") > 1
    spent, held = balance(mesh, "listener")
    assert spent == step.usage.input_tokens * INPUT_MICROUSD + step.usage.output_tokens * OUTPUT_MICROUSD
    assert held == 0


async def test_the_planner_dies_in_the_middle_of_a_text_readers_are_told_and_the_finished_text_is_whole(
    mesh: Mesh, around: Any, rest: aiohttp.ClientSession, whole_again: None
) -> None:
    question = "Count slowly while they kill you."
    words = " ".join(f"number{number}" for number in range(40))
    around.models.add({"user": question, "text": words, "chunk_ms": 40})
    async with mesh.client() as client, asyncio.timeout(SECONDS):
        run = await client.create_run(question, agent="scripted", stream=True)
        half = asyncio.Event()
        over_grpc = asyncio.create_task(events(client, run.run_id, half))
        over_sse = asyncio.create_task(events_over_sse(rest, run.run_id))
        await half.wait()
        await mesh.kill("planner")
        told = await asyncio.gather(over_grpc, over_sse)
    for one in told:
        deltas = [event.delta for event in one if event.HasField("delta")]
        assert any(delta.reset for delta in deltas)
        assert RunTextOf(one).text == words
        assert next(event.answered.text for event in one if event.HasField("answered")) == words


async def test_a_model_that_has_its_text_at_once_tells_it_at_once(mesh: Mesh) -> None:
    async with mesh.client() as client, asyncio.timeout(SECONDS):
        run = await client.create_run("What is 17 * 23?", stream=True)
        told = await events(client, run.run_id)
    assert RunTextOf(told).text == next(event.answered.text for event in told if event.HasField("answered"))


class RunTextOf(RunText):
    """What a reader has who was told these events."""

    def __init__(self, told: list[RunEvent]) -> None:
        super().__init__()
        for event in told:
            self.take(event)


def finished_step(told: list[RunEvent]) -> Any:
    return next(e.step_finished for e in told if e.step_finished.kind == STEP_KIND_MODEL)


async def events(client: Client, run_id: str, half: asyncio.Event | None = None) -> list[RunEvent]:
    """All events; ``half`` is set once some words were told."""
    told: list[RunEvent] = []
    async for event in client.events(run_id, deltas=True):
        told.append(event)
        if half is not None and RunTextOf(told).text.count(" ") > 8:
            half.set()
    return told


async def events_over_sse(rest: aiohttp.ClientSession, run_id: str) -> list[RunEvent]:
    return [Parse(event.data, RunEvent()) async for event in sse.events(rest, run_id, deltas=True)]


@asynccontextmanager
async def nats_of(mesh: Mesh, user: str) -> AsyncIterator[Connection]:
    """The mesh's broker as one of its users sees it."""
    password = Secrets(mesh.state / "mesh" / "secrets").nats_password(user)
    connection = await connect(mesh.nats_url.rpartition("@")[2], name=user, user=user, password=password)
    try:
        yield connection
    finally:
        await connection.close()


async def overhearing(broker: Connection, heard: list[Delta]) -> Any:
    """Keep every delta that is told to anyone."""

    async def hear(message: Any) -> None:
        heard.append(Delta.FromString(message.data))

    subscription = await broker.nc.subscribe("malha.delta.*.*", cb=hear)
    await broker.nc.flush()
    return subscription


class Overheard(LiveText):
    """A text as it was told on NATS, with the parts."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []


async def opened(mesh: Mesh, broker: Connection, deltas: list[Delta]) -> Overheard:
    """What they hold for whoever has the keys."""
    master = read_master_key(Secrets(mesh.state / "mesh" / "secrets").of("gateway") / "master.key")
    sealer, live = Sealer(NatsKeyRing(broker, master)), Overheard()
    for delta in deltas:
        content = await sealer.open(TENANT, delta.run_id, DELTA, delta.content)
        live.parts.append(content.text)
        live.take(delta, content.text)
    return live
