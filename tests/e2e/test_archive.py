"""A finished run reads the same from the archive, by every way a caller has; then it is erased."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio

from malha.api.gateway.v1 import run_pb2
from malha.client import Client, ErrorReason, MalhaError
from malha.run.nats_journal import NatsJournal, connect
from malha.stack.secrets import Secrets
from malha.testing import sse
from malha.testing.grep import files_with, traces
from malha.testing.mesh import Mesh
from malha.testing.shop import until

QUESTIONS = ["What is 1234 * 77?", "Who keeps the bees of Malha?"]
KEYS = ["archive-test-0", "archive-test-1"]
ARCHIVE_AFTER = 4
"""Seconds in which all is read of a run from the stream; from then on it comes from the archive."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def archiving(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    environment = {"MALHA_PLANNER_ARCHIVE_AFTER_SECONDS": str(ARCHIVE_AFTER)}
    async with Mesh(tmp_path_factory.mktemp("archiving"), environment) as mesh:
        yield mesh


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stream(archiving: Mesh) -> AsyncIterator[NatsJournal]:
    """The stream's own journal, as the planner may read it."""
    url = f"nats://127.0.0.1:{urlsplit(archiving.nats_url).port}"
    password = Secrets(archiving.state / "mesh" / "secrets").nats_password("planner")
    connection = await connect(url, name="planner", user="planner", password=password)
    yield NatsJournal(connection)
    await connection.close()


@dataclass
class Seen:
    """All that callers can read of a run."""

    run: run_pb2.Run
    rest: dict[str, Any]
    typed: list[run_pb2.RunEvent]
    events: list[sse.ServerSentEvent]
    resumed: list[sse.ServerSentEvent]
    typed_resumed: list[run_pb2.RunEvent]


async def see(client: Client, rest: aiohttp.ClientSession, run_id: str) -> Seen:
    events = [event async for event in sse.events(rest, run_id)]
    middle = events[len(events) // 2].id
    async with rest.get(f"/v1/runs/{run_id}") as response:
        body = await response.json()
    return Seen(
        await client.run(run_id),
        body,
        [event async for event in client.events(run_id)],
        events,
        [event async for event in sse.events(rest, run_id, after=middle)],
        [event async for event in client.events(run_id, after=middle)],
    )


@dataclass
class Told:
    """Runs as they were read from the stream, and then from the archive."""

    before: list[Seen]
    after: list[Seen]
    listed: list[Any]
    needles: list[set[bytes]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def told(archiving: Mesh, stream: NatsJournal) -> AsyncIterator[Told]:
    headers = {"authorization": f"Bearer {archiving.api_key}"}
    async with (
        archiving.client() as client,
        aiohttp.ClientSession(archiving.rest_url, headers=headers) as rest,
    ):
        made = [
            await client.create_run(question, idempotency_key=key)
            for question, key in zip(QUESTIONS, KEYS, strict=True)
        ]
        ids = [run.run_id for run in made]
        before = [await see(client, rest, run_id) for run_id in ids]

        async def in_the_table() -> bool:
            return all(run.HasField("finish_time") for run in await client.runs())

        await until(in_the_table)  # a list follows the journal some milliseconds behind
        listed = [await client.runs()]
        entries = [await stream.load("dev", run_id) for run_id in ids]
        assert all(entries), "this machine is too slow"

        async def archived() -> bool:
            return not any([await stream.load("dev", run_id) for run_id in ids])

        await until(archived, seconds=30)
        listed.append(await client.runs())
        after = [await see(client, rest, run_id) for run_id in ids]
    yield Told(before, after, listed, [traces(journal) for journal in entries])


async def test_a_run_and_its_whole_stream_are_the_same_from_the_archive(told: Told) -> None:
    for before, after in zip(told.before, told.after, strict=True):
        assert after == before
        assert len(before.events) >= 6
        assert before.events[-1].kind == "finished"
        assert 0 < len(before.resumed) < len(before.events)
    assert told.listed[0] == told.listed[1]


async def test_a_request_that_comes_again_finds_its_archived_run(told: Told, archiving: Mesh) -> None:
    async with archiving.client() as client:
        again = await client.create_run(QUESTIONS[0], idempotency_key=KEYS[0])
        assert again == told.after[0].run
        with pytest.raises(MalhaError) as refused:
            await client.create_run("Something else?", idempotency_key=KEYS[0])
    assert refused.value.reason == ErrorReason.ERROR_REASON_IDEMPOTENCY_CONFLICT


async def test_an_archived_run_cannot_be_cancelled(told: Told, archiving: Mesh) -> None:
    async with archiving.client() as client:
        with pytest.raises(MalhaError) as refused:
            await client.cancel(told.after[0].run.run_id)
    assert refused.value.reason == ErrorReason.ERROR_REASON_RUN_FINISHED


async def test_another_tenant_cannot_read_or_erase_it(told: Told, archiving: Mesh) -> None:
    key = await archiving.key_of("other", "runs", "admin")
    run_id = told.after[0].run.run_id
    async with archiving.client(key) as client:
        for call in (client.run(run_id), client.erase(run_id)):
            with pytest.raises(MalhaError) as refused:
                await call
            assert refused.value.reason == ErrorReason.ERROR_REASON_RUN_NOT_FOUND


async def test_erasing_needs_the_right_to(told: Told, archiving: Mesh) -> None:
    plain = await archiving.key_of("dev", "runs")
    admin = await archiving.key_of("dev", "runs", "admin")
    async with archiving.client(plain) as client:
        with pytest.raises(MalhaError) as refused:
            await client.erase(told.after[0].run.run_id)
        assert refused.value.metadata["scope"] == "admin"
    async with archiving.client(admin) as client:
        with pytest.raises(MalhaError) as refused:
            await client.erase_tenant("dev")
        assert refused.value.metadata["scope"] == "operator"


async def test_malha_erase_leaves_no_byte_but_the_ledgers(told: Told, archiving: Mesh) -> None:
    """One from the archive and one that is in the stream still; the key makes a new run afterwards."""
    async with archiving.client() as client:
        fresh = await client.ask(QUESTIONS[0])
        for run_id in (told.after[0].run.run_id, fresh.run_id):
            assert await command(archiving, "erase", run_id) == "erased"
            assert "RUN_NOT_FOUND" in await command(archiving, "erase", run_id, code=1)
        state = archiving.state / "mesh"
        needles = told.needles[0] | {fresh.run_id.encode()}

        async def clean() -> bool:
            return set(files_with(needles, state)) <= {"cost/cost.db", "cost/cost.db-wal"}

        await until(clean, seconds=30)
        assert "95018" not in tools_database(state), "the result as the tool gave it"
        with pytest.raises(MalhaError) as refused:
            await client.run(told.after[0].run.run_id)
        assert refused.value.reason == ErrorReason.ERROR_REASON_RUN_NOT_FOUND
        assert {run.run_id for run in await client.runs()} == {told.after[1].run.run_id}

        new = await client.create_run("Something else?", idempotency_key=KEYS[0])
        assert new.run_id == told.after[0].run.run_id
        assert new.input == "Something else?"


async def command(mesh: Mesh, *arguments: str, code: int = 0) -> str:
    """What `malha` prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "malha.cli", *arguments),
        env={"MALHA_API_KEY": mesh.api_key, "MALHA_GRPC_TARGET": mesh.grpc_target, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == code, said
    return said.decode().strip()


def tools_database(state: Path) -> str:
    return b"".join(path.read_bytes() for path in (state / "tools").glob("tools.db*")).decode("latin-1")
