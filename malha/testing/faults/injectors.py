"""How each fault is done to a running mesh. Each returns once it is done and, where it heals, healed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import nats.errors

from malha.errors import MalhaError
from malha.testing.faults import kept
from malha.testing.faults.links import Links
from malha.testing.faults.plan import Fault, Kind
from malha.testing.faults.service import CLOCK_FILE
from malha.testing.faults.tripwires import Tripped, Tripwires
from malha.testing.mesh import Mesh
from malha.testing.model_server import ModelServer
from malha.testing.nats_cluster import NatsCluster

_REACHED_WITHIN = 15.0
_BACK_WITHIN = 40.0
_LOOK = 0.01
_ANSWERS_CUT = 2  # a model that does not answer three times is given up


@dataclass(frozen=True, slots=True)
class Scene:
    """What can be hurt."""

    mesh: Mesh
    links: Links
    wires: Tripwires
    models: ModelServer
    folder: Path
    cluster: NatsCluster | None
    """The nodes of the broker, where it has more than one."""
    disk: Path | None
    """A small file system under the broker's store; None where none could be mounted."""


async def inject(fault: Fault, scene: Scene) -> bool:
    """Do it; whether it came to pass: a boundary may not be reached, a disk not be there."""
    await asyncio.sleep(fault.at)
    match fault.kind:
        case Kind.KILL_AT | Kind.STOP_AT:
            return await _at_a_boundary(fault, scene)
        case Kind.ZOMBIE:
            return await _zombie(fault, scene)
        case Kind.MODEL:
            return await _cut_answers(fault, scene)
        case Kind.KILL | Kind.RESTART:
            return await _end(fault, scene)
        case Kind.STOP:
            return await _pause(fault, scene)
        case Kind.CUT:
            scene.links.by_name[fault.where].cut()
        case Kind.DELAY:
            await _delay(fault, scene)
        case Kind.SILENCE:
            await _silence(fault, scene)
        case Kind.CLOCK:
            await _jump(fault, scene)
        case Kind.LEADER:
            await _lose_the_leader(fault, scene)
        case Kind.DISK:
            return await _fill(fault, scene)
    return True


async def _at_a_boundary(fault: Fault, scene: Scene) -> bool:
    if fault.provoked_by:
        await _tripped(fault.provoked_by, signal.SIGKILL, 0, scene)
    stopping = fault.kind is Kind.STOP_AT
    how = signal.SIGSTOP if stopping else signal.SIGKILL
    tripped = await _tripped(fault.where, how, fault.after, scene)
    if tripped is None:
        return False
    if stopping:
        await asyncio.sleep(fault.size)
        with suppress(ProcessLookupError):
            os.kill(tripped.pid, signal.SIGCONT)
    else:
        await _replaced(tripped.pid, scene)
    return True


async def _zombie(fault: Fault, scene: Scene) -> bool:
    """Who was away so long that others took its runs over goes on for one step, and dies of it."""
    tripped = await _tripped(f"{fault.where}.before", signal.SIGSTOP, fault.after, scene, doomed=True)
    if tripped is None:
        return False
    await asyncio.sleep(fault.size)
    with suppress(ProcessLookupError):
        os.kill(tripped.pid, signal.SIGCONT)
    await _replaced(tripped.pid, scene)
    return True


async def _tripped(
    point: str, how: signal.Signals, after: int, scene: Scene, *, doomed: bool = False
) -> Tripped | None:
    scene.wires.arm(point, how, after=after, doomed=doomed)
    await _once(lambda: scene.wires.tripped(point) is not None, _REACHED_WITHIN)
    scene.wires.disarm(point)
    return scene.wires.tripped(point)


async def _end(fault: Fault, scene: Scene) -> bool:
    pid = await _signalled(fault.where, signal.SIGKILL if fault.kind is Kind.KILL else signal.SIGTERM, scene)
    if pid:
        await _replaced(pid, scene)
    return pid > 0


async def _signalled(name: str, signum: signal.Signals, scene: Scene) -> int:
    """Who got it: where another fault was quicker, whoever takes the dead's place. 0 where nobody does."""
    got = 0

    def sent() -> bool:
        nonlocal got
        pid = scene.mesh.pids()[name]
        with suppress(ProcessLookupError):
            os.kill(pid, signum)
            got = pid
        return got > 0

    await _once(sent, _BACK_WITHIN)
    return got


async def _replaced(pid: int, scene: Scene) -> None:
    """Return once another process serves in its place."""
    await _once(lambda: pid not in scene.mesh.pids().values(), _BACK_WITHIN)


async def _pause(fault: Fault, scene: Scene) -> bool:
    pid = await _signalled(fault.where, signal.SIGSTOP, scene)
    if pid:
        await asyncio.sleep(fault.size)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    return pid > 0


async def _cut_answers(fault: Fault, scene: Scene) -> bool:
    rule = {"times": _ANSWERS_CUT, "latency_ms": 100, "disconnect": fault.where, "text": "It"}
    (added,) = scene.models.add(rule)
    return await _once(lambda: added.answered == _ANSWERS_CUT, _REACHED_WITHIN)


async def _delay(fault: Fault, scene: Scene) -> None:
    link = scene.links.by_name[fault.where]
    link.delay = fault.size
    await asyncio.sleep(3.0)
    link.delay = 0.0


async def _silence(fault: Fault, scene: Scene) -> None:
    """Nothing passes and nobody is told; then the connections are found to be dead."""
    link = scene.links.by_name[fault.where]
    link.open.clear()
    await asyncio.sleep(fault.size)
    link.cut()
    link.open.set()


async def _jump(fault: Fault, scene: Scene) -> None:
    """The services' wall clocks jump and, some seconds later, are set right again."""
    file = scene.folder / CLOCK_FILE
    file.write_text(str(fault.size))
    await asyncio.sleep(3.0)
    file.write_text("0")


async def _fill(fault: Fault, scene: Scene) -> bool:
    """Leave the broker's disk no room; then give it back."""
    if scene.disk is None:
        return False
    filler = scene.disk / "filler"
    free = os.statvfs(scene.disk)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_bsize)
    await asyncio.sleep(fault.size)
    filler.unlink()
    return True


async def _lose_the_leader(fault: Fault, scene: Scene) -> None:
    assert scene.cluster is not None
    leader = None
    while leader is None:
        # without an answer, or while the nodes are choosing, there is none to lose
        with suppress(nats.errors.Error, MalhaError, AssertionError, TimeoutError):
            async with kept.reader(scene.mesh, scene.cluster.url) as connection:
                leader = await scene.cluster.leader(connection, fault.where)
    leader.kill()
    await asyncio.sleep(fault.size)
    leader.start()


async def _once(condition: Callable[[], bool], within: float) -> bool:
    """Return once it holds, or when the seconds have passed; whether it does."""
    until = asyncio.get_running_loop().time() + within
    while not condition():
        if asyncio.get_running_loop().time() > until:
            return False
        await asyncio.sleep(_LOOK)  # other processes have no event to wait for
    return True
