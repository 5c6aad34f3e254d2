"""One seed: a mesh, its load, the faults of the seed, and the verdict.

Faults are injected one after the other and several at a time, each as soon as the runs in flight bear it.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from google.protobuf import text_format

from malha.api.gateway.v1.run_pb2 import RunEvent
from malha.client import Client
from malha.errors import MalhaError
from malha.run import Entry
from malha.stack.accounts import accounts
from malha.stack.secrets import Secrets
from malha.testing import scripted_agents
from malha.testing.faults import kept
from malha.testing.faults.bearing import AT_ONCE, Bearing, Turn
from malha.testing.faults.checker import check
from malha.testing.faults.dealing import nodes, planners
from malha.testing.faults.disk import small_disk
from malha.testing.faults.injectors import Scene, inject
from malha.testing.faults.links import Links
from malha.testing.faults.load import AGENT, IN_FLIGHT, SCRIPT, TOOLS, Called, Load
from malha.testing.faults.mesh import LINKS, ROUTES
from malha.testing.faults.plan import Fault
from malha.testing.faults.service import BROKEN, FAULTS, NODES
from malha.testing.faults.tripwires import Tripwires
from malha.testing.faults.verdict import Verdict
from malha.testing.mesh import Mesh
from malha.testing.model_server import ModelServer
from malha.testing.nats_cluster import running_cluster

_STUCK_AFTER = 75.0
_BROKEN_STUCK_AFTER = 10.0  # a mesh that is broken on purpose need not be waited for
_CALLERS = 2 * IN_FLIGHT  # while one of them cannot get in, others are
_READERS = 16
Say = Callable[[str], None]


async def trial(seed: int, hand: Sequence[Fault], *, broken: str = "", say: Say) -> Verdict:
    """Inject the faults under load, until all were or runs are stuck; then every run comes to its end.

    How many planners and how many nodes of the broker there are is the seed's choice.

    Args:
        broken: the name of a broken part to put in; then a few faults at a time are injected and judged, and
            the trial ends with the first few that find it.
        say: told how it goes.
    """
    verdict = Verdict()
    with tempfile.TemporaryDirectory(prefix="malha-faults-") as folder:
        state = Path(folder)
        async with (
            _scene(state, broken, seed) as scene,
            _callers(scene.mesh) as (client, session),
        ):
            one = _Trial(scene, client, Load(client, session, seed, callers=_CALLERS))
            try:
                for few in _few(hand) if broken else [hand]:
                    await one.inject(few, _BROKEN_STUCK_AFTER if broken else _STUCK_AFTER)
                    if not (verdict := await one.judged()).good:
                        break
            finally:
                await one.load.drain(0.0)
            if not verdict.good:
                log = Path(tempfile.gettempdir()) / f"malha-faults-{seed}.log"
                log.write_text("\n".join((*one.told, scene.mesh.log_tail(100_000))))
                say(f"  what was done when, and the mesh's log: {log}")
            return verdict


class _Trial:
    """The faults of one seed. ``told`` has a line for each, with the seconds from when to when."""

    def __init__(self, scene: Scene, client: Client, load: Load) -> None:
        self.load = load
        self.told: list[str] = []
        self._scene = scene
        self._client = client
        self._bearing = Bearing(load.runs)
        self._injected = Verdict()
        self._began = time.monotonic()

    async def inject(self, hand: Iterable[Fault], patience: float) -> None:
        """All of these; where the runs do not get on meanwhile they are let come to their ends first.

        Ends with all runs over, or with some that are not after so many seconds: stuck.
        """
        self.load.begin()
        waiting = list(hand)
        async with asyncio.TaskGroup() as under_way:
            while waiting:
                turn = await self._bearing.next_of(waiting, patience)
                if turn is None:
                    await self.load.drain(patience)
                    if self._stuck():
                        break
                    self.load.begin()
                    continue
                async with asyncio.timeout(patience):
                    await self.load.under_way()
                under_way.create_task(self._inject(turn))
        await self.load.drain(patience)

    async def judged(self) -> Verdict:
        """What was injected, and what is wrong by now."""
        scene, runs = self._scene, self.load.runs
        broker = scene.cluster.url if scene.cluster else "nats://" + scene.mesh.nats_url.rpartition("@")[2]
        ended = {run.run_id: run.ended for run in runs}
        found = await kept.read(scene.mesh, broker, ended, scene.mesh.state / "lines")
        verdict = self._injected + check(runs, found, await _told_again(self._client, runs))
        for run_id, entries in found.journals.items():
            if any(f"run {run_id[:8]}:" in sentence for sentence in verdict.sentences):
                self.told += [run_id, *map(_line, entries)]
        return verdict

    async def _inject(self, turn: Turn) -> None:
        began, fault = time.monotonic(), turn.fault
        with turn:
            happened = await inject(fault, self._scene)
        (self._injected.faults if happened else self._injected.missed)[str(fault)] += 1
        first, last = began - self._began, time.monotonic() - self._began
        self.told.append(f"{first:7.2f} {last:7.2f} {fault}{'' if happened else ': did not come to pass'}")

    def _stuck(self) -> bool:
        return any(not run.ended for run in self.load.runs)


def _line(entry: Entry) -> str:
    told = text_format.MessageToString(entry.record, as_one_line=True)
    return f"{entry.sequence:7} {entry.time} {told}"


def _few(hand: Sequence[Fault]) -> Iterator[Sequence[Fault]]:
    for first in range(0, len(hand), AT_ONCE):
        yield hand[first : first + AT_ONCE]


async def _told_again(client: Client, runs: Iterable[Called]) -> dict[str, list[RunEvent]]:
    told: dict[str, list[RunEvent]] = {}
    at_once = asyncio.Semaphore(_READERS)

    async def tell(run_id: str) -> None:
        async with at_once:
            try:
                async with asyncio.timeout(20):
                    told[run_id] = [event async for event in client.events(run_id)]
            except (TimeoutError, MalhaError):
                told[run_id] = []

    async with asyncio.TaskGroup() as readers:
        for run in runs:
            if run.ended:
                readers.create_task(tell(run.run_id))
    return told


@asynccontextmanager
async def _scene(state: Path, broken: str, seed: int) -> AsyncIterator[Scene]:
    folder = state / "faults"
    folder.mkdir()
    async with AsyncExitStack() as stack:
        disk = stack.enter_context(small_disk(state / "mesh" / "nats" / "data"))
        models = await stack.enter_async_context(ModelServer(SCRIPT, keep=0))
        links = await stack.enter_async_context(Links(folder / ROUTES))
        environment = {**_environment(state, models, links), FAULTS: str(folder), BROKEN: broken}
        cluster = None
        if nodes(seed) > 1:
            users = accounts(Secrets(state / "mesh" / "secrets"))
            cluster = stack.enter_context(running_cluster(state / "cluster", extra=users))
            environment |= {
                "MALHA_PLANNER_NATS_URL": cluster.url,
                "MALHA_GATEWAY_NATS_URL": cluster.url,
                NODES: str(nodes(seed)),
            }
        command = ["malha.testing.faults.mesh", "--replicas", f"planner={planners(seed)}"]
        mesh = await stack.enter_async_context(Mesh(state, environment, command=command))
        yield Scene(mesh, links, Tripwires(folder), models, folder, cluster, disk)


def _environment(state: Path, models: ModelServer, links: Links) -> dict[str, str]:
    ports = state / "links.json"
    ports.write_text(json.dumps(links.ports()))
    appender = {"malha.testing.tools:file_appender": {"path": str(state / "lines")}}
    return {
        **scripted_agents.settings(state / "settings", models.base_url, {AGENT: {"tools": TOOLS}}),
        "MALHA_TOOLS_EXTRA_TOOLS": json.dumps(appender),
        "MALHA_PLANNER_ACK_WAIT_SECONDS": "2",
        "MALHA_PLANNER_LEAD_EVERY_SECONDS": "0.2",
        "MALHA_COST_TENANT_DAILY_MICROUSD": str(10**12),
        LINKS: str(ports),
    }


@asynccontextmanager
async def _callers(mesh: Mesh) -> AsyncIterator[tuple[Client, aiohttp.ClientSession]]:
    headers = {"authorization": f"Bearer {mesh.api_key}"}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=40)
    async with (
        Client(mesh.grpc_target, mesh.api_key, timeout=20) as client,
        aiohttp.ClientSession(mesh.rest_url, headers=headers, timeout=timeout) as session,
    ):
        yield client, session
