"""One seed: a mesh, its load, the faults of the seed in waves, and the verdict."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from malha.api.gateway.v1.run_pb2 import RunEvent
from malha.client import Client
from malha.errors import MalhaError
from malha.stack.accounts import accounts
from malha.stack.secrets import Secrets
from malha.testing import scripted_agents
from malha.testing.faults import kept
from malha.testing.faults.checker import check
from malha.testing.faults.disk import small_disk
from malha.testing.faults.injectors import Scene, inject
from malha.testing.faults.links import Links
from malha.testing.faults.load import AGENT, SCRIPT, TOOLS, Called, Load
from malha.testing.faults.mesh import LINKS, ROUTES
from malha.testing.faults.plan import Fault, nodes
from malha.testing.faults.service import BROKEN, FAULTS, NODES
from malha.testing.faults.tripwires import Tripwires
from malha.testing.faults.verdict import Verdict
from malha.testing.mesh import Mesh
from malha.testing.model_server import ModelServer
from malha.testing.nats_cluster import running_cluster

_STUCK_AFTER = 75.0
_BROKEN_STUCK_AFTER = 10.0  # a mesh that is broken on purpose need not be waited for
Say = Callable[[str], None]


async def trial(seed: int, waves: Iterable[list[Fault]], *, broken: str = "", say: Say) -> Verdict:
    """Inject the waves under load, one after another; between two, every run comes to its end.

    Odd seeds have two planners, even ones have one; every eighth has a broker of three nodes.

    Args:
        broken: the name of a broken part to put in; then the trial ends with the first wave that finds it.
        say: told how it goes.
    """
    injected = Verdict()
    with tempfile.TemporaryDirectory(prefix="malha-faults-") as folder:
        state = Path(folder)
        async with (
            _scene(state, broken, seed) as scene,
            _callers(scene.mesh) as (client, session),
        ):
            load = Load(client, session, seed)
            try:
                for wave in waves:
                    await _wave(
                        wave, scene, load, injected, say, _BROKEN_STUCK_AFTER if broken else _STUCK_AFTER
                    )
                    if any(not run.ended for run in load.runs):
                        break  # stuck: nothing more can be learnt here
                    if broken and not (found := await _judged(scene, client, load)).good:
                        return injected + found
            finally:
                await load.drain(0.0)
            verdict = injected + await _judged(scene, client, load)
            if not verdict.good:
                log = Path(tempfile.gettempdir()) / f"malha-faults-{seed}.log"
                log.write_text(scene.mesh.log_tail(100_000))
                say(f"  the mesh's log: {log}")
            return verdict


async def _judged(scene: Scene, client: Client, load: Load) -> Verdict:
    broker = scene.cluster.url if scene.cluster else "nats://" + scene.mesh.nats_url.rpartition("@")[2]
    runs = {run.run_id: run.ended for run in load.runs}
    found = await kept.read(scene.mesh, broker, runs, scene.mesh.state / "lines")
    return check(load.runs, found, await _told_again(client, load.runs))


async def _wave(
    wave: list[Fault], scene: Scene, load: Load, injected: Verdict, say: Say, patience: float
) -> None:
    load.begin()
    await load.under_way()
    came_to_pass = await asyncio.gather(*(inject(fault, scene) for fault in wave))
    for fault, happened in zip(wave, came_to_pass, strict=True):
        (injected.faults if happened else injected.missed)[str(fault)] += 1
    await load.drain(patience)
    say(f"  {len(load.runs)} runs; " + "; ".join(str(fault) for fault in wave))


async def _told_again(client: Client, runs: Iterable[Called]) -> dict[str, list[RunEvent]]:
    told: dict[str, list[RunEvent]] = {}
    for run in runs:
        if run.ended:
            try:
                async with asyncio.timeout(20):
                    told[run.run_id] = [event async for event in client.events(run.run_id)]
            except (TimeoutError, MalhaError):
                told[run.run_id] = []
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
        command = ["malha.testing.faults.mesh", "--replicas", f"planner={1 + seed % 2}"]
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
