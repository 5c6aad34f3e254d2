"""Two planners, two gateways, and callers who never pause: processes die and are replaced, no run fails.

Callers do what an error tells them: they ask again after UNAVAILABLE, when its RetryInfo says, with the
same idempotency key. Anything else, or a refusal that does not say when, fails the test.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aiohttp
import grpc.aio
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2, status_pb2

from malha.api.gateway.v1 import run_service_pb2 as runs
from malha.api.gateway.v1 import run_service_pb2_grpc as runs_grpc
from malha.api.gateway.v1.run_pb2 import RUN_STATUS_SUCCEEDED
from malha.testing import scripted_agents
from malha.testing.mesh import Mesh, bearer
from malha.testing.model_server import ModelServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

APPEND = {"name": "append_line", "arguments": {"line": "{user}"}}
SCRIPT = {
    "rules": [  # slow as models are, so that whoever leaves has steps under way
        {"turn": 0, "tool_calls": [APPEND], "latency_ms": 300},
        {"turn": 1, "text": "It is written.", "latency_ms": 300},
    ]
}
IN_FLIGHT = 16
REPLICAS = ("--replicas", "planner=2,gateway=2")


@dataclass
class Load:
    """What the callers asked for and what they were told."""

    mesh: Mesh
    lines: Path
    asked: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    told_to_retry: int = 0
    wrong: list[str] = field(default_factory=list)
    """What no caller should be told."""
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Keep runs in flight for the length of the block; then wait for the last answers."""
        ends = asyncio.Event()
        async with (
            aiohttp.ClientSession(self.mesh.rest_url) as rest,
            grpc.aio.insecure_channel(self.mesh.grpc_target) as channel,
            asyncio.TaskGroup() as callers,
        ):
            stub = runs_grpc.RunServiceStub(channel)
            for number in range(IN_FLIGHT):
                over_rest = number % 4 == 0
                ask = partial(self._over_rest, rest) if over_rest else partial(self._over_grpc, stub)
                callers.create_task(self._call_on(f"caller-{number}", ask, ends))
            try:
                await self.more(2 * IN_FLIGHT)
                yield
                await self.more(2 * IN_FLIGHT)
            finally:
                ends.set()

    async def more(self, runs: int) -> None:
        """Return when so many further runs have been answered."""
        enough = len(self.answered) + runs
        async with asyncio.timeout(60), self._news:
            await self._news.wait_for(lambda: len(self.answered) >= enough or self.wrong)
        assert not self.wrong, "\n".join(self.wrong)

    async def _call_on(
        self, name: str, ask: Callable[[str], Awaitable[float | None]], ends: asyncio.Event
    ) -> None:
        while not ends.is_set():
            line = f"{name} line {len(self.asked)}"
            self.asked.append(line)
            while (again_in := await ask(line)) is not None:
                self.told_to_retry += 1
                await asyncio.sleep(again_in)
            self.answered.append(line)
            async with self._news:
                self._news.notify_all()

    async def _over_grpc(self, stub: runs_grpc.RunServiceAsyncStub, line: str) -> float | None:
        """The answer awaited; else the seconds after which to ask again."""
        request = runs.RunAndWaitRequest(input=line, agent="clerk", idempotency_key=line.replace(" ", "-"))
        try:
            response = await stub.RunAndWait(request, timeout=60, metadata=bearer(self.mesh.api_key))
        except grpc.aio.AioRpcError as error:
            delay = retry_delay(error)
            if error.code() != grpc.StatusCode.UNAVAILABLE or delay is None:
                self.wrong.append(f"{line}: {error.code()} {error.details()} {error.debug_error_string()}")
                return None
            return delay
        if response.run.status != RUN_STATUS_SUCCEEDED:
            run = response.run
            steps = [(step.name, step.error.reason) for step in run.steps]
            self.wrong.append(f"{line}: {run.status} {run.error.reason} {run.error.message} {steps}")
        return None

    async def _over_rest(self, rest: aiohttp.ClientSession, line: str) -> float | None:
        body = {"input": line, "agent": "clerk", "idempotency_key": line.replace(" ", "-")}
        headers = {"authorization": f"Bearer {self.mesh.api_key}"}
        try:
            async with rest.post("/v1/runs:wait", json=body, headers=headers) as response:
                answer = await response.json()
        except aiohttp.ClientError as error:
            self.wrong.append(f"{line}: {error!r}")
            return None
        if response.status == 503 and "retry-after" in response.headers:
            return float(response.headers["retry-after"])
        if response.status != 200 or answer["status"] != "RUN_STATUS_SUCCEEDED":
            self.wrong.append(f"{line}: {response.status} {answer}")
        return None

    def written(self) -> list[str]:
        """The lines that the tool wrote."""
        return self.lines.read_text(encoding="utf-8").splitlines() if self.lines.exists() else []

    def held(self) -> int:
        """Micro-dollars that are still reserved."""
        path = self.mesh.state / "mesh" / "cost" / "cost.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT coalesce(sum(reserved), 0) FROM entries").fetchone()[0])


def retry_delay(error: grpc.aio.AioRpcError) -> float | None:
    """What RetryInfo says, in seconds."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.RetryInfo()
                if detail.Unpack(info):
                    return float(info.retry_delay.ToMilliseconds() / 1000)
    return None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    state = tmp_path_factory.mktemp("mesh")
    async with ModelServer(SCRIPT) as models:
        appender = {"path": str(state / "lines")}
        environment = {
            **scripted_agents.settings(state, models.base_url, {"clerk": {"tools": ["append_line"]}}),
            "MALHA_PLANNER_ACK_WAIT_SECONDS": "2",
            "MALHA_TOOLS_EXTRA_TOOLS": json.dumps({"malha.testing.tools:file_appender": appender}),
        }
        async with Mesh(state, environment, options=REPLICAS) as mesh:
            yield mesh


@pytest.fixture
def load(mesh: Mesh) -> Load:
    return Load(mesh, mesh.state / "lines")


async def test_every_process_of_every_replica_is_listed(mesh: Mesh) -> None:
    assert set(mesh.pids()) == {
        *("nats", "valkey", "cost", "guard", "retrieval", "tools", "edge"),
        *("planner", "planner-2", "gateway", "gateway-2"),
    }


async def test_every_process_is_replaced_under_load_and_every_run_succeeds(load: Load) -> None:
    before = load.mesh.pids()
    async with load.going_on():
        done = await load.mesh.roll()
    after = load.mesh.pids()
    kept = {"nats", "valkey"}
    assert {name for name in after if after[name] == before[name]} == kept
    assert len(done) == len(after) - len(kept)
    assert_all_is_well(load)


@pytest.mark.parametrize("name", ["nats", "valkey"])
async def test_a_server_of_others_is_replaced_under_load_and_every_run_succeeds(
    load: Load, name: str
) -> None:
    before = load.mesh.pids()
    async with load.going_on():
        (done,) = await load.mesh.roll(name)
    after = load.mesh.pids()
    assert {one for one in after if after[one] != before[one]} == {name}
    assert done.startswith(f"{name}: {before[name]} -> {after[name]} ")
    assert_all_is_well(load)


async def test_who_asks_by_the_python_client_has_one_run_though_the_gateway_dies_in_the_midst(
    load: Load,
) -> None:
    questions = [f"client line {number}" for number in range(IN_FLIGHT)]
    async with load.mesh.client() as client:
        asked = [asyncio.create_task(client.ask(question, agent="clerk")) for question in questions]
        while not any(question in load.written() for question in questions):  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.01)
        assert not any(one.done() for one in asked)
        await load.mesh.kill("gateway", "gateway-2")
        runs = await asyncio.gather(*asked)
    assert {run.status for run in runs} == {RUN_STATUS_SUCCEEDED}
    assert len({run.run_id for run in runs}) == IN_FLIGHT
    assert [load.written().count(question) for question in questions] == [1] * IN_FLIGHT


async def test_a_successor_that_does_not_come_up_leaves_the_old_process_serving(load: Load) -> None:
    before = load.mesh.pids()
    agent = load.mesh.state / "agents" / "clerk.yaml"
    good = agent.read_text()
    try:
        async with load.going_on():
            agent.write_text("name: clerk\nfoo: bar\n")
            rolled = await asyncio.to_thread(malha_roll, load.mesh, "cost", "planner", "gateway")
    finally:
        agent.write_text(good)
    after = load.mesh.pids()
    assert {one for one in after if after[one] != before[one]} == {"cost"}, rolled
    (done,), (failed,) = rolled.stdout.splitlines(), rolled.stderr.splitlines()
    assert done.startswith(f"cost: {before['cost']} -> {after['cost']} ")
    assert failed.startswith("malha: planner is not replaced: it said ")
    assert "clerk.yaml" in failed
    assert failed.endswith(f"process {before['planner']} goes on")
    assert rolled.returncode == 1
    assert_all_is_well(load)
    assert len(await load.mesh.roll("planner")) == 2  # and the next roll finds nothing in its way


@pytest.mark.parametrize("name", ["planner", "planner-2", "gateway", "gateway-2"])
async def test_one_of_two_is_killed_under_load_and_every_run_succeeds(load: Load, name: str) -> None:
    async with load.going_on():
        os.kill(load.mesh.pids()[name], signal.SIGKILL)
    assert_all_is_well(load)


def malha_roll(mesh: Mesh, *names: str) -> subprocess.CompletedProcess[str]:
    """What an operator types."""
    return subprocess.run(  # noqa: S603 - the arguments are our own
        [sys.executable, "-m", "malha.cli", "roll", *names, "--state", str(mesh.state / "mesh")],
        env={**os.environ, "COLUMNS": "500"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_all_is_well(load: Load) -> None:
    assert not load.wrong, "\n".join(load.wrong)
    assert sorted(load.answered) == sorted(load.asked)
    written = load.written()
    assert [line for line in load.asked if written.count(line) != 1] == []
    assert load.held() == 0
