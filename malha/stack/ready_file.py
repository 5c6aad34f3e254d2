"""The file that says how to reach a mesh, so that any program can start one and use it."""

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypedDict

from malha.stack.secrets import TENANT, Secrets


class ProcessFact(TypedDict):
    """One process of the mesh."""

    name: str
    pid: int
    port: int  # on loopback


class Facts(TypedDict):
    """What the file says."""

    rest_url: str
    grpc_target: str
    nats_url: str  # as the user outside: it may follow the events of `tenant`, nothing else
    tenant: str
    api_key: str
    processes: list[ProcessFact]
    metrics: dict[str, str]  # process of a service -> URL of its Prometheus endpoint


def facts(ports: Mapping[str, int], secrets: Secrets, pids: Mapping[str, int]) -> Facts:
    """The facts about a mesh on these ports."""
    return {
        "rest_url": f"http://127.0.0.1:{ports['edge']}",
        "grpc_target": f"127.0.0.1:{ports['edge']}",
        "nats_url": f"nats://{TENANT}:{secrets.nats_password(TENANT)}@127.0.0.1:{ports['nats']}",
        "tenant": TENANT,
        "api_key": secrets.api_key,
        "processes": [{"name": name, "pid": pid, "port": ports[name]} for name, pid in pids.items()],
        "metrics": {
            name.removesuffix("-metrics"): f"http://127.0.0.1:{port}/metrics"
            for name, port in ports.items()
            if name.endswith("-metrics")
        },
    }


class ReadyFile:
    """The file of a running mesh; without a path there is none.

    Args:
        say: told (name, line) what keeps it from being up to date.
    """

    def __init__(self, path: Path | None, say: Callable[[str, str], None]) -> None:
        self._path = path
        self._say = say

    def update(self, content: Facts) -> None:
        """Write it whole or not at all, readable by its owner: it holds the API key.

        Where that fails the mesh goes on, and whoever watches it is told that the file is behind.
        """
        if self._path is None:
            return
        part = self._path.with_name(f".{self._path.name}.part")
        try:
            part.touch(mode=0o600)
            part.write_text(json.dumps(content, indent=2) + "\n")
            os.replace(part, self._path)
        except OSError as error:
            self._say("malha", f"{self._path} cannot be written and is out of date: {error.strerror}")

    def remove(self) -> None:
        """There is no mesh to reach any more."""
        if self._path is not None:
            with contextlib.suppress(OSError):  # what cannot be removed must not keep the mesh from ending
                self._path.unlink(missing_ok=True)
