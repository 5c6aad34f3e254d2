"""One question through all six processes, by each of the ways in, and all that it leaves behind."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import nats
import pytest
import pytest_asyncio
from google.protobuf import json_format
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from malha.api.gateway.v1.run_pb2 import RUN_STATUS_SUCCEEDED, Run, RunEvent
from malha.api.run.v1.record_pb2 import ACTION_ALLOW, STEP_KIND_MODEL, STEP_KIND_TOOL
from malha.cli import documents
from malha.testing import sse
from malha.testing.mesh import Mesh
from malha.testing.span_sink import ReceivedSpan

DOCS = Path(__file__).parents[2] / "docs"
NAME = "Wendelgard"
"""A word that stands nowhere but in the question."""
QUESTION = f"How does Malha keep parallel runs from overshooting a budget, {NAME}?"
ANSWER = "parallel runs cannot overshoot"

GATEWAY = "malha.api.gateway.v1.RunService/CreateRun"
CHECK = "malha.api.guard.v1.GuardService/Check"
AUTHORIZE = "malha.api.cost.v1.CostService/Authorize"
SETTLE = "malha.api.cost.v1.CostService/Settle"
EXECUTE = "malha.api.tools.v1.ToolsService/Execute"
SEARCH = "malha.api.retrieval.v1.RetrievalService/Search"
AGENT = "invoke_agent default"
CHAT = "chat extractive"
TOOL = "execute_tool search_knowledge"


@dataclass(frozen=True)
class Asked:
    """The question as it was asked over REST: the events as they came, the run at its end."""

    events: list[sse.ServerSentEvent]
    run: Run


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def asked(mesh: Mesh) -> Asked:
    async with mesh.client() as client:
        for batch in documents.batches(
            documents.found(DOCS), lambda name, why: pytest.fail(f"{name}: {why}")
        ):
            await client.ingest(batch)
    headers = {"authorization": f"Bearer {mesh.api_key}"}
    async with aiohttp.ClientSession(mesh.rest_url, headers=headers) as rest:
        async with rest.post("/v1/runs", json={"input": QUESTION}) as response:
            accepted = parsed(await response.text(), Run())
        events = [event async for event in sse.events(rest, accepted.run_id)]
        async with rest.get(f"/v1/runs/{accepted.run_id}") as response:
            return Asked(events, parsed(await response.text(), Run()))


async def test_it_is_answered_with_citations_that_name_file_and_section(asked: Asked) -> None:
    run = asked.run
    assert run.status == RUN_STATUS_SUCCEEDED, run.error
    assert ANSWER in run.answer
    assert ("docs/budgets.md", "Budgets") in [(c.document, c.section) for c in run.citations]
    assert "no LLM" in run.model_note
    assert [(step.kind, step.name) for step in run.steps] == [
        (STEP_KIND_MODEL, "extractive"),
        (STEP_KIND_TOOL, "search_knowledge"),
        (STEP_KIND_MODEL, "extractive"),
    ]
    assert "search_knowledge" in run.steps[0].offered_tools
    assert run.steps[1].verdict.action == run.steps[2].verdict.action == ACTION_ALLOW


async def test_each_way_in_gives_the_same_answer(
    asked: Asked, mesh: Mesh, rest: aiohttp.ClientSession
) -> None:
    async with rest.post("/v1/runs:wait", json={"input": QUESTION}) as response:
        waited = parsed(await response.text(), Run())
    async with mesh.client() as client:
        by_rpc = await client.ask(QUESTION)
        created = await client.create_run(QUESTION)
        streamed = [event async for event in client.events(created.run_id)]
        got = await client.run(created.run_id)
        runs = {asked.run.run_id, waited.run_id, by_rpc.run_id, got.run_id}
        async with asyncio.timeout(10):
            listed: set[str] = set()
            while not runs <= listed:  # the table follows the journal within milliseconds
                listed = {run.run_id for run in await client.runs('status = "SUCCEEDED"', limit=100)}
    async with rest.get("/v1/runs", params={"page_size": "100"}) as response:
        page = (await response.json())["runs"]
    assert streamed[-1].finished.answer == got.answer
    assert {run.answer for run in (waited, by_rpc, got)} == {asked.run.answer}
    assert {str(run.citations) for run in (waited, by_rpc, got)} == {str(asked.run.citations)}
    assert len(runs) == 4
    assert runs <= {run["run_id"] for run in page}
    assert NAME not in json.dumps(page), "a list shows no content"


async def test_both_streams_tell_the_same_and_end_with_the_run(asked: Asked, mesh: Mesh) -> None:
    told = [parsed(event.data, RunEvent()) for event in asked.events]
    async with mesh.client() as client:
        assert [event async for event in client.events(asked.run.run_id)] == told
    assert [event.id for event in asked.events] == [event.position for event in told]
    kinds = [event.kind for event in asked.events]
    assert kinds == [event.WhichOneof("event") for event in told]
    assert (kinds[0], kinds[-2:]) == ("accepted", ["answered", "finished"])
    assert Counter(kinds)["step_started"] == Counter(kinds)["step_finished"] == len(asked.run.steps)
    assert told[-1].finished.answer == asked.run.answer


async def test_a_stream_cut_after_every_event_resumes_with_the_next_one(
    asked: Asked, mesh: Mesh, rest: aiohttp.ClientSession
) -> None:
    for number, event in enumerate(asked.events, start=1):
        rest_of_it = [late async for late in sse.events(rest, asked.run.run_id, after=event.id)]
        assert rest_of_it == asked.events[number:]

    # and while the run is under way: each event over a connection of its own
    async with rest.post("/v1/runs", json={"input": QUESTION}) as response:
        run_id = (await response.json())["run_id"]
    pieces: list[sse.ServerSentEvent] = []
    while not pieces or pieces[-1].kind != "finished":
        after = pieces[-1].id if pieces else ""
        async with aclosing(sse.events(rest, run_id, after=after)) as stream:
            pieces.append(await anext(stream))
    assert pieces == [event async for event in sse.events(rest, run_id)]
    assert [piece.kind for piece in pieces] == [event.kind for event in asked.events]


async def test_every_hop_is_a_span_of_one_trace(asked: Asked, around: Any) -> None:
    names = [GATEWAY, *[CHECK] * 3, *[AUTHORIZE] * 2, SETTLE, EXECUTE, SEARCH, AGENT, CHAT, CHAT, TOOL]
    spans: list[ReceivedSpan] = await around.spans.trace(asked.run.trace_id, names=names)
    by_id = {span.id: span for span in spans}
    hops = Counter(
        (span.service, span.name, by_id[span.parent].name) for span in spans if span.parent in by_id
    )
    wanted = {
        ("malha-guard", CHECK, GATEWAY): 1,  # the input
        ("malha-planner", AGENT, GATEWAY): 1,  # across NATS
        ("malha-planner", CHAT, AGENT): 2,
        ("malha-cost", AUTHORIZE, CHAT): 2,
        ("malha-planner", TOOL, AGENT): 1,
        ("malha-tools", EXECUTE, TOOL): 1,
        ("malha-guard", CHECK, AGENT): 2,  # the tool's result, and the answer
        ("malha-cost", SETTLE, AGENT): 1,
    }
    assert {hop: hops[hop] for hop in wanted} == wanted
    search = next(span for span in spans if span.name == SEARCH)
    assert EXECUTE in ancestors(search, by_id)
    assert [span.name for span in spans if span.parent not in by_id] == [GATEWAY], "one root"
    assert not [span.name for span in spans if span.failed]


async def test_model_spans_follow_the_conventions_for_generative_ai(asked: Asked, around: Any) -> None:
    spans: list[ReceivedSpan] = await around.spans.trace(asked.run.trace_id, names=[CHAT, CHAT, AGENT])
    chats = {span.attributes["malha.step"]: span.attributes for span in spans if span.name == CHAT}
    for step in asked.run.steps:
        if step.kind == STEP_KIND_MODEL:
            attributes = chats[step.step]
            assert attributes["gen_ai.operation.name"] == "chat"
            assert attributes["gen_ai.provider.name"] == "offline"
            assert attributes["gen_ai.request.model"] == "extractive"
            assert attributes["gen_ai.usage.input_tokens"] == step.usage.input_tokens
            assert attributes["gen_ai.usage.output_tokens"] == step.usage.output_tokens
    (agent,) = (span.attributes for span in spans if span.name == AGENT)
    assert (agent["gen_ai.agent.name"], agent["malha.run_id"]) == ("default", asked.run.run_id)


async def test_each_call_is_reserved_and_settled_in_the_ledger(asked: Asked, mesh: Mesh) -> None:
    rows = stored(
        mesh.state / "mesh" / "cost" / "cost.db",
        "SELECT key, stage, kind, component, input_tokens, output_tokens, reserved, spent FROM entries "
        "WHERE tenant = 'dev' AND run_id = ? ORDER BY at_us, stage",
        asked.run.run_id,
    )
    history = {step.key: [row for row in rows if row["key"] == step.key] for step in asked.run.steps}
    assert len(rows) == 2 * len(asked.run.steps)
    for step in asked.run.steps:
        reservation, settlement = history[step.key]
        assert (reservation["kind"], settlement["kind"]) == ("reservation", "settlement")
        assert settlement["component"] == ("model" if step.kind == STEP_KIND_MODEL else "tool")
        assert settlement["input_tokens"] == step.usage.input_tokens
        assert settlement["output_tokens"] == step.usage.output_tokens
        assert settlement["spent"] == step.cost.amount_microusd
    assert sum(row["reserved"] for row in rows) == 0, "money is held for ever"
    assert asked.run.cost.reference_microusd > 0


async def test_the_tools_effect_is_recorded_under_its_steps_key(asked: Asked, mesh: Mesh) -> None:
    rows = stored(
        mesh.state / "mesh" / "tools" / "tools.db",
        "SELECT key, state, tool FROM effects WHERE tenant = 'dev' AND key LIKE ?",
        f"dev/{asked.run.run_id}/%",
    )
    assert [tuple(row) for row in rows] == [(asked.run.steps[1].key, "done", "search_knowledge")]


async def test_the_announced_facts_are_the_journals_once_each_in_order_without_a_word(
    asked: Asked, mesh: Mesh
) -> None:
    announced: list[dict[str, Any]] = []
    async with aclosing(facts(mesh)) as all_facts:
        async for event in all_facts:
            if event["data"]["run_id"] == asked.run.run_id:
                announced.append(event)
                if event["type"] == "malha.run.finished":
                    break
    journaled = [event for event in asked.events if event.kind != "answered"]
    assert [event["data"]["position"] for event in announced] == [event.id for event in journaled]
    assert [event["type"].removeprefix("malha.run.") for event in announced] == [
        event.kind for event in journaled
    ]
    assert {event["specversion"] for event in announced} == {"1.0"}
    assert len({event["id"] for event in announced}) == len(announced)
    assert announced[-1]["data"]["status"] == "succeeded"
    assert announced[-1]["data"]["usage"]["input_tokens"] == str(asked.run.usage.input_tokens)
    said = json.dumps(announced)
    assert NAME not in said
    assert ANSWER not in said


async def test_nobody_who_reads_the_disk_the_log_or_the_spans_learns_what_was_asked(
    asked: Asked, mesh: Mesh, around: Any
) -> None:
    state = mesh.state / "mesh"
    journal = b"".join(path.read_bytes() for path in (state / "nats").rglob("*") if path.is_file())
    assert asked.run.run_id.encode() in journal, "this is where the journal is"
    assert ANSWER.encode() not in journal
    for path in [*state.rglob("*"), mesh.state / "mesh.log"]:
        if path.is_file():
            assert NAME.encode() not in path.read_bytes(), path.relative_to(mesh.state)
    spans = await around.spans.trace(asked.run.trace_id, names=[AGENT])
    assert NAME not in str(spans)


def parsed(text: str, message: Any) -> Any:
    return json_format.Parse(text, message)


def ancestors(span: ReceivedSpan, by_id: dict[str, ReceivedSpan]) -> list[str]:
    names = []
    while span.parent in by_id:
        span = by_id[span.parent]
        names.append(span.name)
    return names


def stored(path: Path, query: str, *values: str) -> list[sqlite3.Row]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        return database.execute(query, values).fetchall()


async def facts(mesh: Mesh) -> AsyncGenerator[dict[str, Any], None]:
    """What the tenant's outside subscriber is told, from the first fact on."""
    connection = await nats.connect(mesh.nats_url)
    try:
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.ALL, ack_policy=AckPolicy.EXPLICIT, inactive_threshold=60
        )
        subscription = await connection.jetstream().pull_subscribe(
            "malha.event.dev.>", stream="EVENTS", config=config
        )
        async with asyncio.timeout(20):
            while True:
                for message in await subscription.fetch(100, timeout=10):
                    yield json.loads(message.data)
                    await message.ack()
    finally:
        await connection.close()
