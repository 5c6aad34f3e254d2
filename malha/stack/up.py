"""The mesh on one machine, from nothing to serving and back: servers, services, the edge."""

import asyncio
import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from malha.stack import servers
from malha.stack.accounts import accounts
from malha.stack.console import Console
from malha.stack.control import listening
from malha.stack.edge import envoy
from malha.stack.free_ports import free_ports
from malha.stack.ports import fixed_ports, listeners
from malha.stack.program import Program
from malha.stack.ready_file import Facts, ReadyFile, facts
from malha.stack.replicas import Replicas, names, role
from malha.stack.rolling import Rolling
from malha.stack.secrets import Secrets
from malha.stack.services import Surroundings, services
from malha.stack.supervisor import StartError, Supervised, stop_in_order

START_SECONDS = 60.0
FOUNDATIONS = ("nats", "valkey")  # what the services connect to before they serve
# Who ends before whom: callers before those they call, so that what is under way can finish.
STOP_ORDER = (("edge",), ("gateway", "planner"), ("tools",), ("retrieval", "guard"), ("cost",), FOUNDATIONS)


@dataclass(frozen=True)
class UpOptions:
    """How to start a mesh."""

    state: Path = Path(".malha")
    """Folder of everything that lasts: journal, databases, secrets."""
    free_ports: bool = False
    """Take any free ports; else 7400 and those after it."""
    ready_file: Path | None = None
    """Where to write, once all is healthy, how to reach the mesh. It holds the API key: its owner's alone."""
    otlp_endpoint: str = ""
    """URL of an OTLP/gRPC collector for traces, or its host:port."""
    access_log: bool = False
    """Let the edge write a line for every call."""
    replicas: Replicas = field(default_factory=dict)
    """Processes by service, as `malha.stack.replicas.parse` makes them; one of those that are not named."""


class StateInUseError(Exception):
    """Another mesh runs on the same state folder."""


class UnusableFolderError(Exception):
    """A folder the mesh is to write to cannot be used; the message says which, why and what to do."""


async def up(options: UpOptions, *, instead: Callable[[Program], Program] = lambda program: program) -> None:
    """Run the mesh until SIGINT or SIGTERM, then stop it in order; a second signal ends it at once.

    Args:
        instead: what to start in a program's place; tests put one there that fails as they tell it to.

    Raises:
        MissingServerError, PortTakenError, StateInUseError, UnusableFolderError, StartError: with a text for
            whoever started it.
    """
    began = time.monotonic()
    failure: StartError | None = None
    if options.ready_file and not os.access(folder := options.ready_file.resolve().parent, os.W_OK | os.X_OK):
        raise UnusableFolderError(f"no file can be written to {folder}: make it, or use another --ready-file")
    with _sole_user(options.state), Console() as console, _until_a_signal():
        tasks = asyncio.TaskGroup()
        # before the group is entered: it would wrap what is refused here
        mesh = Mesh(options, instead, tasks, console.say)
        async with tasks:
            try:
                await mesh.start()
                mesh.announce(ready_after=time.monotonic() - began)
                async with listening(options.state, mesh.rolling.roll):
                    await asyncio.Event().wait()
            except StartError as error:
                failure = error
            finally:
                await mesh.stop()
    if failure:
        raise failure


class Mesh:
    """All programs of one mesh."""

    def __init__(
        self,
        options: UpOptions,
        instead: Callable[[Program], Program],
        tasks: asyncio.TaskGroup,
        say: Callable[[str, str], None],
    ) -> None:
        state = options.state.resolve()
        self._options = options
        self._say = say
        self._ready_file = ReadyFile(options.ready_file, say)
        who = listeners(options.replicas)
        self._ports = free_ports(who) if options.free_ports else fixed_ports(who)
        self._secrets = Secrets(state / "secrets")
        nats = servers.nats(state, port=self._ports["nats"], extra=accounts(self._secrets))
        valkey = servers.valkey(state, port=self._ports["valkey"])
        around = Surroundings(
            *(state, self._secrets, self._ports, nats.url, valkey.url),
            otlp_endpoint=options.otlp_endpoint,
            replicas=options.replicas,
        )
        gateways = [self._ports[name] for name in names("gateway", options.replicas)]
        edge = envoy(state, port=self._ports["edge"], gateways=gateways, access_log=options.access_log)
        self._tasks = tasks
        self._serving = False
        self._members = {
            program.name: Supervised(instead(program), say, self._changed)
            for program in (nats, valkey, *services(around), edge)
        }
        self.rolling = Rolling(self._members, tasks, self._changed)

    async def start(self) -> None:
        """Start all; returns when all are healthy. The edge is when the gateway is, which asks everyone."""
        deadline = time.monotonic() + START_SECONDS
        others = [name for name in self._members if name not in FOUNDATIONS]
        for group in (FOUNDATIONS, others):
            for name in group:
                await self._members[name].start(self._tasks)
            for name in group:
                await self._members[name].until_ready(deadline)
        self._serving = True

    async def stop(self) -> None:
        """Stop all in order; whatever happens meanwhile, nothing is left behind."""
        self._serving = False
        self._ready_file.remove()
        try:
            groups = [[one for one in self._everyone() if role(one.name) in roles] for roles in STOP_ORDER]
            await stop_in_order(groups)
        finally:
            for one in self._everyone():
                one.kill()
        self._say("malha", "stopped")

    def _everyone(self) -> list[Supervised]:
        return [*self._members.values(), *self.rolling.between]

    def announce(self, *, ready_after: float) -> None:
        """Tell the person, and the ready file."""
        mesh = self._facts()
        self._say("malha", f"REST     {mesh['rest_url']}")
        self._say("malha", f"gRPC     {mesh['grpc_target']}")
        self._say("malha", f"NATS     127.0.0.1:{self._ports['nats']}")
        self._say("malha", f"API key  {mesh['api_key']}")
        self._say("malha", f"state    {self._options.state}")
        self._say("malha", f"ready after {ready_after:.1f} s; Ctrl-C stops it")
        self._changed()

    def _changed(self) -> None:
        # again after every restart: a new process has a new id
        if self._serving:
            self._ready_file.update(self._facts())

    def _facts(self) -> Facts:
        pids = {name: member.pid for name, member in self._members.items()}
        return facts(self._ports, self._secrets, pids)


@contextlib.contextmanager
def _sole_user(state: Path) -> Iterator[None]:
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (state / "lock").open("w")
    except OSError as error:
        raise UnusableFolderError(f"{state} cannot hold the state ({error.strerror}): use --state") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateInUseError(f"another mesh runs on {state}: stop it, or use --state") from None
        yield


@contextlib.contextmanager
def _until_a_signal() -> Iterator[None]:
    """Signals cancel the body: the first makes it stop in order, the second interrupts even that."""
    loop = asyncio.get_running_loop()
    body = asyncio.current_task()
    assert body is not None
    signals = (signal.SIGINT, signal.SIGTERM)
    received = 0

    def on_signal() -> None:
        nonlocal received
        received += 1
        body.cancel()

    for number in signals:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    except asyncio.CancelledError:
        if not received:
            raise
        for _ in range(received):
            body.uncancel()
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
