"""A whole mesh as a child process, as any program would start one: ``malha up`` and its ready file."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from malha.api.common.v1.principal_pb2 import Tier
from malha.api.gateway.v1.admin_service_pb2 import CreateApiKeyRequest
from malha.client import Client
from malha.stack import order_roll

_READY_SECONDS = 60.0
_STOP_SECONDS = 40.0


class MeshFailedError(Exception):
    """The mesh did not come up; the message ends with the last lines it logged."""


class Mesh:
    """``async with Mesh(state) as mesh:`` starts a mesh on free ports and stops it at the end.

    Args:
        state: an empty folder for everything it keeps; the log goes to ``mesh.log`` inside.
        environment: further settings, such as ``MALHA_PLANNER_OPENAI_BASE_URL``.
        command: the Python module that starts it, and what comes before its options.
        options: further options, such as ``--replicas``.
        log: where the log goes in place of that file.
    """

    def __init__(
        self,
        state: Path,
        environment: Mapping[str, str] | None = None,
        *,
        command: Sequence[str] = ("malha.cli", "up"),
        options: Sequence[str] = (),
        log: Path | None = None,
    ) -> None:
        self.state = state
        self.rest_url = ""
        self.grpc_target = ""
        self.nats_url = ""
        self.api_key = ""
        self.ready_seconds = 0.0
        self._command = command
        self._options = options
        self._environment = {**os.environ, **(environment or {})}
        self._ready_file = state / "ready.json"
        self._log_file = log or state / "mesh.log"
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Mesh:
        started = time.monotonic()
        with _open(self._log_file) as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *self._command, "--state", str(self.state / "mesh")),
                *("--free-ports", "--ready-file", str(self._ready_file)),
                *self._options,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        try:
            while not self._ready_file.exists():
                if self._process.returncode is not None or time.monotonic() - started > _READY_SECONDS:
                    raise MeshFailedError("the mesh did not come up:\n" + self.log_tail())
                await asyncio.sleep(0.02)
        except BaseException:  # nobody leaves what was not entered
            await self._stop()
            raise
        self.ready_seconds = time.monotonic() - started
        ready = self._ready()
        self.rest_url, self.grpc_target = ready["rest_url"], ready["grpc_target"]
        self.nats_url, self.api_key = ready["nats_url"], ready["api_key"]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        assert self._process is not None
        return self._process.pid

    def pids(self) -> dict[str, int]:
        """Process ids by name, as they are now: a restarted service has a new one."""
        return {process["name"]: process["pid"] for process in self._ready()["processes"]}

    def ports(self) -> dict[str, int]:
        """Where each process listens."""
        return {process["name"]: process["port"] for process in self._ready()["processes"]}

    @contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """Hold a process away for the length of the block: it lives, and answers nobody.

        The supervisor ends what is silent for half a minute, so the block must be shorter.
        """
        pid = self.pids()[name]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    async def kill(self, *names: str) -> None:
        """End processes as crashes would, at once; returns when others serve in their places."""
        killed = {name: self.pids()[name] for name in names}
        for pid in killed.values():
            os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(_READY_SECONDS):
            while killed.items() & self.pids().items():  # noqa: ASYNC110  # other processes have no event
                await asyncio.sleep(0.02)

    async def roll(self, *names: str) -> list[str]:
        """Have the supervisor replace processes, as ``malha roll`` does; a line for each."""
        done: list[str] = []
        await order_roll(self.state / "mesh", names, done.append)
        return done

    def client(self, api_key: str = "") -> Client:
        """A client with the development key, or another."""
        return Client(self.grpc_target, api_key or self.api_key)

    async def key_of(self, tenant: str, *scopes: str, tier: Tier = Tier.TIER_ENTERPRISE) -> str:
        """A new API key of a tenant; without scopes it may have runs and knowledge."""
        request = CreateApiKeyRequest(tenant=tenant, subject="tester", tier=tier, scopes=scopes)
        async with self.client() as client:
            made = await client.admin.CreateApiKey(request, metadata=bearer(self.api_key), timeout=10)
        return made.api_key

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of the mesh's log."""
        return "\n".join(self._log_file.read_text(errors="replace").splitlines()[-lines:])

    def _ready(self) -> dict[str, Any]:
        ready: dict[str, Any] = json.loads(self._ready_file.read_text(encoding="utf-8"))
        return ready

    async def _stop(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def bearer(api_key: str) -> tuple[tuple[str, str], ...]:
    """gRPC metadata that carries a key."""
    return (("authorization", f"Bearer {api_key}"),)


def _open(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("wb")
