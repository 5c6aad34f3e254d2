"""An operator and a dead run, from a terminal: it is listed, shown, replayed, and dropped for good."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any
from urllib.parse import urlsplit

import pytest

from malha.api.gateway.v1 import run_pb2
from malha.api.run.v1.record_pb2 import FinalStatus, Record
from malha.run import fold
from malha.run.nats_journal import NatsJournal, connect
from malha.stack.secrets import Secrets
from malha.testing.mesh import Mesh
from malha.testing.records import finished

QUESTION = "please hold line 2 in my secret plant"


@pytest.fixture(autouse=True, scope="module")
def cautious_model(around: Any) -> None:
    """Wants a call that waits for people."""
    call = {"name": "stop_line", "arguments": {"line": 2, "reason": "held"}}
    around.models.add({"user": "please hold line 2", "turn": 0, "tool_calls": [call]})


async def give_up(mesh: Mesh, run_id: str) -> None:
    """Write what a planner writes of a run that was taken up too often."""
    secrets = Secrets(mesh.state / "mesh" / "secrets")
    url = f"nats://127.0.0.1:{urlsplit(mesh.nats_url).port}"
    connection = await connect(url, name="planner", user="planner", password=secrets.nats_password("planner"))
    journal = NatsJournal(connection)
    state = fold(await journal.load("dev", run_id))
    death = finished(FinalStatus.FINAL_STATUS_DEAD, "TOO_MANY_DELIVERIES")
    record = Record(tenant="dev", run_id=run_id, events=[death])
    await journal.append(record, expected=state.last_sequence)
    await connection.close()


async def malha(mesh: Mesh, *arguments: str) -> tuple[int, str]:
    """The command; its exit code and what it printed."""
    environment = {**os.environ, "MALHA_API_KEY": mesh.api_key, "MALHA_GRPC_TARGET": mesh.grpc_target}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "malha.cli", *arguments),
        env=environment | {"COLUMNS": "160"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def listed(mesh: Mesh, run_id: str) -> bool:
    """Whether `malha dead list` shows the run; the list follows the journal by a moment."""
    _, printed = await malha(mesh, "dead", "list")
    return run_id in printed


async def test_a_dead_run_is_listed_shown_replayed_and_dropped_from_a_terminal(mesh: Mesh) -> None:
    async with mesh.client() as client, asyncio.timeout(60):
        run = await client.ask(QUESTION, agent="keeper")
        assert run.status == run_pb2.RUN_STATUS_WAITING
        await give_up(mesh, run.run_id)
        while not await listed(mesh, run.run_id):
            pass
        _, shown = await malha(mesh, "dead", "show", run.run_id)
        assert "TOO_MANY_DELIVERIES" in shown
        assert "planner-" in shown
        assert "secret" not in shown

        code, printed = await malha(mesh, "dead", "replay", run.run_id, "--reason", "try again")
        assert (code, "queued" in printed) == (0, True)
        while (await client.run(run.run_id)).status != run_pb2.RUN_STATUS_WAITING:  # noqa: ASYNC110  # no event here
            await asyncio.sleep(0.05)
        assert len((await client.run(run.run_id)).steps) == 1, "the model's answer stands"
        while await listed(mesh, run.run_id):
            pass

        await give_up(mesh, run.run_id)
        code, printed = await malha(mesh, "dead", "drop", run.run_id, "--reason", "nobody needs it")
        assert (code, "cancelled" in printed) == (0, True)
        code, printed = await malha(mesh, "dead", "replay", run.run_id)
        assert (code, "RUN_NOT_DEAD" in printed) == (1, True)
        kinds = [event.WhichOneof("event") async for event in client.events(run.run_id)]
        assert kinds.count("finished") == 2
        assert [kinds.count("replayed"), kinds[-1]] == [1, "dropped"]
