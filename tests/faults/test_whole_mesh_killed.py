"""SIGKILL in a whole mesh, again and again in one run: its caller sees one run, its tool acts once.

Beside test_planner_killed.py, which kills the planner alone at every boundary, this one has the
supervisor start what died, callers who wait at the edge meanwhile, and looks at what everyone kept.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import nats
import pytest
import pytest_asyncio
from nats.js.api import ConsumerConfig, DeliverPolicy

from malha.api.gateway.v1.run_pb2 import (
    RUN_STATUS_CANCELLED,
    RUN_STATUS_SUCCEEDED,
    RUN_STATUS_WAITING,
    STEP_STATUS_OK,
    Run,
    RunEvent,
)
from malha.client import Client
from malha.testing import scripted_agents
from malha.testing.mesh import Mesh
from malha.testing.model_server import ModelServer
from malha.testing.pause_points import PausePoints

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPT = {
    "rules": [
        {"turn": 0, "tool_calls": [{"name": "append_line", "arguments": {"line": "{user}"}}]},
        {"turn": 1, "text": "It is written."},
    ]
}
ENDS_WITHIN = 45.0


@dataclass
class Scene:
    """The mesh, and what the tests hold and look at."""

    mesh: Mesh
    client: Client
    pauses: PausePoints
    lines: Path
    accepted: list[str] = field(default_factory=list)

    async def accept(self, line: str) -> str:
        """A run that writes the line once; its id."""
        self.accepted.append((await self.client.create_run(line, agent="clerk")).run_id)
        return self.accepted[-1]

    def kill(self, *names: str) -> None:
        """End processes as crashes would; the supervisor starts them again."""
        pids = self.mesh.pids()
        for name in names:
            os.kill(pids[name], signal.SIGKILL)

    async def kill_at(self, point: str, *names: str) -> None:
        """Wait until the held point is reached, kill there, and hold nobody any more."""
        await until(lambda: self.pauses.reached(point))
        # a process that was started again may be at the point before the mesh tells its number
        await until(lambda: all(is_alive(self.mesh.pids()[name]) for name in names))
        self.kill(*names)
        self.pauses.release(point)

    def written(self, line: str) -> int:
        """How often the tool wrote the line."""
        return self.lines.read_text(encoding="utf-8").splitlines().count(line) if self.lines.exists() else 0

    def ledger(self, run_id: str) -> tuple[int, int]:
        """Micro-dollars spent by a run, and those still held."""
        path = self.mesh.state / "mesh" / "cost" / "cost.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            query = "SELECT sum(spent), sum(reserved) FROM entries WHERE run_id = ?"
            row: tuple[int, int] = database.execute(query, (run_id,)).fetchone()
            return row


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    state = tmp_path_factory.mktemp("mesh")
    pauses, lines = state / "pauses", state / "lines"
    pauses.mkdir()
    appender = {"path": str(lines), "pauses": str(pauses)}
    async with ModelServer(SCRIPT) as models:
        environment = {
            **scripted_agents.settings(state, models.base_url, {"clerk": {"tools": ["append_line"]}}),
            "MALHA_TEST_PAUSES": str(pauses),
            "MALHA_PLANNER_ACK_WAIT_SECONDS": "2",
            "MALHA_TOOLS_EXTRA_TOOLS": json.dumps({"malha.testing.tools:file_appender": appender}),
        }
        async with (
            Mesh(state, environment, command=["malha.testing.mesh_with_pauses"]) as mesh,
            mesh.client() as client,
        ):
            yield Scene(mesh, client, PausePoints(pauses), lines)


async def test_a_run_whose_planner_dies_three_times_ends_as_it_would_have(scene: Scene) -> None:
    # Not more often: a delivery may also be lost with the worker it was on its way to, and six are too many.
    line = "three times"
    scene.pauses.hold("after_tool_started")
    async with asyncio.TaskGroup() as callers:
        run_id = await scene.accept(line)
        told = callers.create_task(events_of(scene.client, run_id))
        await until(lambda: scene.pauses.reached("after_tool_started"))
        scene.pauses.hold("after_acting")  # in the tool: it has written, and nobody knows
        await scene.kill_at("after_tool_started", "planner")
        await until(lambda: scene.pauses.reached("after_acting"))
        scene.pauses.hold("before_final")
        await scene.kill_at("after_acting", "planner")
        await scene.kill_at("before_final", "planner")

    await assert_ended_well(scene, run_id, line)
    events = told.result()
    deliveries = [event.claimed.delivery for event in events if event.HasField("claimed")]
    assert len(deliveries) == 4, "one claim a life"
    assert deliveries == sorted(set(deliveries))
    assert events == await events_of(scene.client, run_id), "the stream that lived through it missed nothing"


async def test_killed_after_the_tools_record_and_after_the_result_nothing_is_done_again(scene: Scene) -> None:
    line = "recorded"
    scene.pauses.hold("tool_returned")
    run_id = await scene.accept(line)
    await until(lambda: scene.pauses.reached("tool_returned"))
    scene.pauses.hold("after_model_started")  # the result stands in the same record
    await scene.kill_at("tool_returned", "planner")
    await scene.kill_at("after_model_started", "planner")
    await assert_ended_well(scene, run_id, line)


@pytest.mark.parametrize("killed", [["tools"], ["tools", "planner"]], ids=["tools", "both"])
async def test_killed_between_the_act_and_its_record_the_run_waits_for_a_person(
    scene: Scene, killed: list[str]
) -> None:
    line = f"unknown to {killed}"
    scene.pauses.hold("after_acting")
    run_id = await scene.accept(line)
    await scene.kill_at("after_acting", *killed)
    run = await once(scene.client, run_id, lambda run: run.status == RUN_STATUS_WAITING)
    assert run.error.reason == "OUTCOME_UNKNOWN"
    assert run.error.metadata["key"] == run.steps[-1].key
    assert scene.written(line) == 1
    _, held = scene.ledger(run_id)
    assert held == 0
    await scene.client.cancel(run_id, "looked at the file")
    ended = await once(scene.client, run_id, lambda run: run.HasField("finish_time"))
    assert ended.status == RUN_STATUS_CANCELLED
    assert scene.written(line) == 1


async def test_each_fact_was_announced_once_and_in_order_through_it_all(scene: Scene) -> None:
    connection = await nats.connect(scene.mesh.nats_url)
    config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL, inactive_threshold=60)
    facts = await connection.jetstream().pull_subscribe("malha.event.dev.>", stream="EVENTS", config=config)
    announced: dict[str, list[str]] = {run_id: [] for run_id in scene.accepted}
    open_runs = set(announced)
    async with asyncio.timeout(20):
        while open_runs:
            for message in await facts.fetch(100, timeout=10):
                event = json.loads(message.data)
                announced[event["data"]["run_id"]].append(event["data"]["position"])
                if event["type"] == "malha.run.finished":
                    open_runs.discard(event["data"]["run_id"])
    await connection.close()
    for run_id, positions in announced.items():
        journaled = await events_of(scene.client, run_id)
        assert positions == [e.position for e in journaled if not e.HasField("answered")]


async def assert_ended_well(scene: Scene, run_id: str, line: str) -> None:
    run = await once(scene.client, run_id, lambda run: run.HasField("finish_time"))
    assert (run.status, run.answer) == (RUN_STATUS_SUCCEEDED, "It is written."), run.error
    done = [step.name for step in run.steps if step.status == STEP_STATUS_OK]
    assert done == [scripted_agents.MODEL, "append_line", scripted_agents.MODEL]
    assert scene.written(line) == 1
    spent, held = scene.ledger(run_id)
    assert held == 0, "money is held for ever"
    assert run.cost.amount_microusd == spent == sum(step.cost.amount_microusd for step in run.steps)


async def events_of(client: Client, run_id: str) -> list[RunEvent]:
    async with asyncio.timeout(2 * ENDS_WITHIN):
        return [event async for event in client.events(run_id)]


async def once(client: Client, run_id: str, holds: Callable[[Run], bool]) -> Run:
    """The run as soon as something holds of it."""
    async with asyncio.timeout(ENDS_WITHIN):
        while not holds(run := await client.run(run_id)):  # noqa: ASYNC110  # it happens in other processes
            await asyncio.sleep(0.05)
    return run


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ENDS_WITHIN
    while not condition():
        assert time.monotonic() < deadline, "the condition does not come to hold"
        await asyncio.sleep(0.01)
