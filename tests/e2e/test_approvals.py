"""People approve exactly what will run: through the edge, from a run that asks to a line that stands."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from malha.api.common.v1.principal_pb2 import Tier
from malha.api.gateway.v1.admin_service_pb2 import CreateApiKeyRequest
from malha.testing.mesh import Mesh, bearer
from malha.testing.refusals import of_response

WAITS = "RUN_STATUS_WAITING"
PATIENCE = 30.0


class People:
    """Keys of different people, all of one tenant, over REST."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def session(self, subject: str, *scopes: str) -> aiohttp.ClientSession:
        """Somebody's own key; with the scopes runs and approvals unless told otherwise."""
        if subject not in self._sessions:
            request = CreateApiKeyRequest(
                tenant="plant",
                subject=subject,
                tier=Tier.TIER_ENTERPRISE,
                scopes=scopes or ("runs", "approvals"),
            )
            async with self._mesh.client() as client:
                made = await client.admin.CreateApiKey(request, metadata=bearer(self._mesh.api_key))
            headers = {"authorization": f"Bearer {made.api_key}"}
            self._sessions[subject] = aiohttp.ClientSession(self._mesh.rest_url, headers=headers)
        return self._sessions[subject]

    async def asks(self, question: str, subject: str = "ana", agent: str = "keeper") -> dict[str, Any]:
        """A run of theirs, at its end or at what it waits for."""
        session = await self.session(subject)
        body = {"input": question, "agent": agent}
        async with session.post("/v1/runs:wait", json=body) as response:
            assert response.status == 200, await response.text()
            return dict(await response.json())

    async def waiting(self, subject: str) -> list[dict[str, Any]]:
        """What waits for them."""
        session = await self.session(subject)
        async with session.get("/v1/approvals") as response:
            return list((await response.json())["approvals"])

    async def listed(self, run: dict[str, Any], subject: str) -> dict[str, Any]:
        """The run's approval among what waits for them; the list follows the journal by a moment, and
        after an outage by a longer one."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                for approval in await self.waiting(subject):
                    if approval["run_id"] == run["run_id"]:
                        return approval
            except (aiohttp.ClientError, KeyError):
                pass  # the edge or the gateway is not back yet
            assert time.monotonic() < deadline, "it is not listed"
            await asyncio.sleep(0.05)

    async def decides(
        self, subject: str, approval: dict[str, Any], decision: str, **more: Any
    ) -> aiohttp.ClientResponse:
        """Their word on it."""
        session = await self.session(subject)
        body = {"hash": approval["hash"], "decision": f"DECISION_{decision}", **more}
        return await session.post(f"/v1/runs/{approval['run_id']}:decide", json=body)

    async def ends(self, run: dict[str, Any], subject: str = "ana") -> dict[str, Any]:
        """The run at its end."""
        session = await self.session(subject)
        deadline = time.monotonic() + PATIENCE
        while True:
            async with session.get(f"/v1/runs/{run['run_id']}") as response:
                found: dict[str, Any] = await response.json()
            if response.status == 200 and "finish_time" in found and found["finish_time"]:
                return found
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()


@pytest_asyncio.fixture(loop_scope="session")
async def people(mesh: Mesh) -> AsyncIterator[People]:
    made = People(mesh)
    yield made
    await made.close()


@pytest.fixture(autouse=True, scope="module")
def plant_model(around: Any) -> None:
    """Asks for what the question says, and says what came of it."""
    for tool in ("stop_line", "set_line_speed"):
        arguments = {"line": 1, "reason": "overheats"} if tool == "stop_line" else {"line": 3, "speed": 10}
        around.models.add(
            {"user": f"please {tool} now", "turn": 0, "tool_calls": [{"name": tool, "arguments": arguments}]}
        )
    for number in (2, 3):
        call = {"name": "stop_line", "arguments": {"line": number, "reason": f"asked for line {number}"}}
        around.models.add({"user": f"please halt line {number}", "turn": 0, "tool_calls": [call]})
    around.models.add({"user": "^please", "turn": 1, "text": "{tool}"})


@pytest.fixture
def lines(mesh: Mesh) -> Path:
    return mesh.state / "lines.json"


def speed(lines: Path, line: int) -> int:
    return int(json.loads(lines.read_text(encoding="utf-8"))[str(line)]["speed"])


async def malha(
    mesh: Mesh, people: People, subject: str, *command: str, typed: str = "", code: int = 0
) -> str:
    """What the command prints for somebody."""
    session = await people.session(subject)
    key = session.headers["authorization"].removeprefix("Bearer ")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "malha.cli", *command),
        env={**os.environ, "MALHA_API_KEY": key, "MALHA_GRPC_TARGET": mesh.grpc_target, "COLUMNS": "200"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate(f"{typed}\n".encode())
    assert process.returncode == code, printed.decode()
    return printed.decode()


async def test_a_high_risk_call_waits_for_a_person_and_then_runs_once(
    mesh: Mesh, people: People, lines: Path
) -> None:
    run = await people.asks("please halt line 3")
    assert run["status"] == WAITS
    assert run["error"]["reason"] == "APPROVAL_REQUIRED"
    approval = await people.listed(run, "bea")
    assert approval["hash"] == run["error"]["metadata"]["hash"]
    assert json.loads(approval["arguments_json"]) == {"line": 3, "reason": "asked for line 3"}
    assert "  line = 3" in approval["summary"]
    assert speed(lines, 3) == 55
    with closing(sqlite3.connect(f"file:{mesh.state}/mesh/cost/cost.db?mode=ro", uri=True)) as ledger:
        query = "SELECT sum(reserved) FROM entries WHERE run_id = ?"
        assert ledger.execute(query, (run["run_id"],)).fetchone() == (0,), "a waiting run holds no money"

    wrong = {**approval, "hash": "0" * 64}
    for said in [wrong, {**approval, "hash": "not a hash"}]:
        response = await people.decides("bea", said, "APPROVE")
        refusal = await of_response(response)
        assert refusal.reason in ("APPROVAL_MISMATCH", "FIELD_INVALID")
    nobody = await people.session("nobody", "runs")
    async with nobody.get("/v1/approvals") as response:
        assert (await of_response(response)).metadata == {"scope": "approvals"}

    response = await people.decides("bea", approval, "APPROVE", comment="go on")
    assert response.status == 200, await response.text()
    again = await of_response(await people.decides("bea", approval, "APPROVE"))
    assert again.reason == "APPROVAL_DECIDED"
    ended = await people.ends(run)
    assert ended["status"] == "RUN_STATUS_SUCCEEDED"
    assert "stands still" in ended["answer"]
    assert ended["approvals"][0]["decisions"][0]["by"] == "bea"
    assert speed(lines, 3) == 0


async def test_a_critical_call_waits_for_two_others(people: People, lines: Path) -> None:
    run = await people.asks("please set_line_speed now")
    approval = await people.listed(run, "bea")
    assert approval["approvals_needed"] == 2
    assert run["run_id"] not in [one["run_id"] for one in await people.waiting("ana")], "it is her own"
    own = await of_response(await people.decides("ana", approval, "APPROVE"))
    assert (own.http, own.reason) == (403, "APPROVER_NOT_ALLOWED")
    assert (await people.decides("bea", approval, "APPROVE")).status == 200
    assert run["run_id"] not in [one["run_id"] for one in await people.waiting("bea")], "she said her word"
    assert (await of_response(await people.decides("bea", approval, "APPROVE"))).reason == "APPROVAL_DECIDED"
    assert (await people.decides("carl", approval, "APPROVE")).status == 200
    ended = await people.ends(run)
    assert ended["status"] == "RUN_STATUS_SUCCEEDED"
    assert speed(lines, 3) == 10


async def test_what_cannot_wait_runs_within_what_was_declared(people: People, lines: Path) -> None:
    run = await people.asks("please stop_line now")
    assert run["status"] == "RUN_STATUS_SUCCEEDED"
    assert speed(lines, 1) == 0
    (notice,) = run["approvals"]
    assert (notice["status"], notice["preauthorisation"]) == (
        "APPROVAL_STATUS_NOTICE",
        "stop-an-overheating-line",
    )


async def test_a_rejection_is_told_to_the_agent(people: People, lines: Path) -> None:
    run = await people.asks("please halt line 2")
    (approval,) = run["approvals"]
    before = speed(lines, 2)
    await people.decides("bea", approval, "REJECT", comment="line 2 is needed tonight")
    ended = await people.ends(run)
    assert ended["status"] == "RUN_STATUS_SUCCEEDED"
    assert "line 2 is needed tonight" in ended["answer"]
    assert speed(lines, 2) == before


async def test_a_rejection_ends_the_run_of_an_agent_that_declares_so(people: People) -> None:
    run = await people.asks("please halt line 2", agent="strict-keeper")
    await people.decides("bea", run["approvals"][0], "REJECT", comment="no")
    ended = await people.ends(run)
    assert ended["status"] == "RUN_STATUS_FAILED"
    assert ended["error"]["reason"] == "APPROVAL_REJECTED"
    assert ended["error"]["metadata"] == {"by": "bea", "tool": "stop_line"}


async def test_nobody_in_time_ends_the_wait_by_itself(people: People, lines: Path) -> None:
    run = await people.asks("please halt line 2", agent="hasty-keeper")
    ended = await people.ends(run)
    assert ended["error"]["reason"] == "APPROVAL_EXPIRED"
    late = await of_response(await people.decides("bea", run["approvals"][0], "APPROVE"))
    assert late.reason == "APPROVAL_EXPIRED"
    assert speed(lines, 2) == 40


async def test_another_tenant_sees_and_decides_nothing(people: People, rest: aiohttp.ClientSession) -> None:
    run = await people.asks("please halt line 2")
    async with rest.get("/v1/approvals") as response:
        assert run["run_id"] not in await response.text()
    body = {"hash": run["approvals"][0]["hash"], "decision": "DECISION_APPROVE"}
    async with rest.post(f"/v1/runs/{run['run_id']}:decide", json=body) as response:
        assert (await of_response(response)).reason == "RUN_NOT_FOUND"
    await people.decides("ana", run["approvals"][0], "END_RUN")
    assert (await people.ends(run))["status"] == "RUN_STATUS_FAILED"


async def test_a_person_decides_from_a_terminal_by_the_hash_they_were_shown(
    mesh: Mesh, people: People, lines: Path
) -> None:
    run = await people.asks("please set_line_speed now")
    shown = await people.listed(run, "bea")
    listed = await malha(mesh, people, "bea", "approvals")
    for part in ("set_line_speed: Changes the speed", "line = 3", "critical risk", shown["hash"]):
        assert part in listed
    assert "APPROVAL" not in await malha(
        mesh, people, "bea", "approve", run["run_id"], typed=shown["hash"][:8]
    )
    wrong = await malha(mesh, people, "carl", "approve", run["run_id"], "--hash", "0" * 64, code=1)
    assert "nothing that waits" in wrong
    said = await malha(
        mesh, people, "carl", "reject", run["run_id"], "--hash", shown["hash"], "--comment", "not at night"
    )
    assert "reject; the run goes on" in said
    assert "not at night" in (await people.ends(run))["answer"]


@pytest.mark.usefixtures("whole_again")
async def test_everything_killed_between_question_and_decision_loses_neither(
    mesh: Mesh, people: People, lines: Path
) -> None:
    run = await people.asks("please halt line 2")
    await people.session("bea")
    await mesh.kill(*mesh.pids())
    response = await people.decides("bea", await people.listed(run, "bea"), "APPROVE")
    assert response.status == 200, await response.text()
    assert (await people.ends(run))["status"] == "RUN_STATUS_SUCCEEDED"
    assert speed(lines, 2) == 0
