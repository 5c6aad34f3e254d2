"""The planner and the services it calls as processes of their own, to be killed one by one.

Runs are accepted by appending to the journal, as the gateway does, so no gateway and no edge is needed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from google.protobuf.duration_pb2 import Duration

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.gateway.v1.run_pb2 import RunStatus
from malha.api.run.v1.record_pb2 import Accepted, Content, JournalEvent, Record, RunLimits
from malha.run import RunState, Sealer, fold, run_id_for
from malha.run.nats_journal import (
    Connection,
    NatsJournal,
    NatsKeyRing,
    connect,
    ensure_streams,
    read_master_key,
)
from malha.stack import servers
from malha.stack.free_ports import free_ports
from malha.stack.secrets import Secrets
from malha.stack.services import Surroundings, services
from malha.testing import scripted_agents
from malha.testing.pause_points import PausePoints
from malha.testing.servers import RunningServer

TENANT = "acme"
_PARTS = ("guard", "cost", "tools")
_PLANNER = (sys.executable, "-m", "malha.testing.planner_with_boundaries")


class PlannerProcesses:
    """`async with`: nats-server, guard, cost and tools run; the planner is started by `start_planner`.

    Args:
        state: an empty folder.
        base_url: of the scripted model server.
        agents: as `malha.testing.scripted_agents.settings` takes them.
    """

    def __init__(self, state: Path, base_url: str, agents: Mapping[str, Mapping[str, Any]]) -> None:
        self.lines = state / "lines"
        pauses = state / "pauses"
        pauses.mkdir(parents=True)
        self.pauses = PausePoints(pauses)
        appender = {"path": str(self.lines), "pauses": str(pauses)}
        environment = scripted_agents.settings(state / "settings", base_url, agents) | {
            "MALHA_TOOLS_EXTRA_TOOLS": json.dumps({"malha.testing.tools:file_appender": appender}),
            "MALHA_PLANNER_ACK_WAIT_SECONDS": "2",
            "MALHA_PLANNER_LEAD_EVERY_SECONDS": "0.2",
        }
        self._secrets = Secrets(state / "secrets")
        nats = RunningServer(servers.nats(state), state / "nats.log")
        # no Valkey: limits and caches fail open
        around = Surroundings(state, self._secrets, free_ports(), nats.url, "redis://127.0.0.1:1")
        self.parts = {"nats": nats}
        for program in services(around):
            own = {name: value for name, value in environment.items() if program.name.upper() in name}
            program = replace(program, env={**program.env, **own})
            if program.name == "planner":
                program = replace(program, argv=_PLANNER)
            self.parts[program.name] = RunningServer(program, state / f"{program.name}.log")
        self._planner = self.parts["planner"].program
        self._log = state / "planner.log"

    async def __aenter__(self) -> PlannerProcesses:
        self.parts["nats"].start()
        for name in _PARTS:
            self.parts[name].start(timeout=30)
        self.connection: Connection = await connect(self.parts["nats"].url, name="tests")
        await ensure_streams(self.connection, max_bytes=256 << 20)
        self.journal = NatsJournal(self.connection)
        master = read_master_key(self._secrets.of("planner") / "master.key")
        self._sealer = Sealer(NatsKeyRing(self.connection, master))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.connection.close()
        for name in ("planner", *_PARTS, "nats"):
            self.parts[name].kill()

    def start_planner(self, boundary: str = "", *, action: str = "kill") -> None:
        """Start the planner; let it die (or stand still) at the boundary `<name>` or `<name>:<times>`."""
        told = {"MALHA_TEST_BOUNDARY": boundary, "MALHA_TEST_BOUNDARY_ACTION": action}
        self.parts["planner"] = RunningServer(
            replace(self._planner, env={**self._planner.env, **told}), self._log
        )
        self.parts["planner"].start(timeout=30)

    async def until_planner_died(self) -> None:
        """Return once the planner's process is gone."""
        await self.until(lambda: not self.parts["planner"].running)
        self.parts["planner"].kill()

    async def accept(self, text: str, *, agent: str) -> str:
        """Accept a run; its id."""
        run_id = run_id_for(TENANT, None)
        accepted = Accepted(
            principal=Principal(tenant=TENANT, subject="ana", tier=Tier.TIER_PRO, scopes=["runs"]),
            agent=agent,
            work_class="interactive",
            limits=RunLimits(
                max_iterations=5,
                max_cost_microusd=10**7,
                max_wall_time=Duration(seconds=60),
                max_output_tokens=100,
            ),
        )
        sealed = await self._sealer.seal(TENANT, run_id, "accepted", Content(text=text))
        event = JournalEvent(accepted=accepted, content=sealed)
        await self.journal.append(Record(tenant=TENANT, run_id=run_id, events=[event]), expected=0)
        return run_id

    async def state(self, run_id: str) -> RunState:
        """Where the run stands."""
        return fold(await self.journal.load(TENANT, run_id))

    async def until_still(self, run_id: str) -> RunState:
        """The run once it is over or waits for a person."""
        while True:
            state = await self.state(run_id)
            if state.final or state.status == RunStatus.RUN_STATUS_WAITING:
                return state
            await asyncio.sleep(0.02)

    async def answer(self, state: RunState) -> str:
        """The answer in the clear."""
        assert state.answer is not None
        return (await self._sealer.open(TENANT, state.run_id, "answered", state.answer)).text

    def written(self) -> int:
        """Lines that the ONCE tool has appended."""
        return len(self.lines.read_text().splitlines()) if self.lines.exists() else 0

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds; 30 s at most."""
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "the condition does not come to hold"
            await asyncio.sleep(0.02)
