"""The services as programs: where each listens, keeps its state, and finds its peers.

Nothing of the services is imported: they are named, started as `python -m malha_<name>`, and told
everything by their environment. An operator's MALHA_<SERVICE>_* variables reach that service and no other.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from malha.stack.health import Health, health
from malha.stack.program import Program
from malha.stack.replicas import Replicas, names
from malha.stack.secrets import SERVICES, Secrets

# Who calls whom (each callee holds an allow-list of its own).
PEERS: Mapping[str, tuple[str, ...]] = {
    "gateway": ("guard", "planner", "retrieval", "cost"),
    "planner": ("guard", "tools", "cost"),
    "tools": ("retrieval",),
    "retrieval": (),
    "guard": (),
    "cost": (),
}
ON_NATS = ("gateway", "planner")
ON_VALKEY = ("gateway", "tools")

# The C library's allocator would keep an arena for each thread, and for good what a burst of runs took:
# one is plenty (5 MB less a service), and large buffers are mapped one by one and given back.
FRUGAL = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "PYTHONUNBUFFERED": "1",
    "GRPC_VERBOSITY": "ERROR",
}


@dataclass(frozen=True)
class Surroundings:
    """What the services are told: folders, ports, servers."""

    state: Path
    secrets: Secrets
    ports: Mapping[str, int]
    nats_url: str
    valkey_url: str
    otlp_endpoint: str = ""
    replicas: Replicas = field(default_factory=dict)

    def target(self, service: str) -> str:
        """Where a service's processes listen, as peers are told."""
        return ",".join(f"127.0.0.1:{self.ports[name]}" for name in names(service, self.replicas))


def services(around: Surroundings) -> list[Program]:
    """A program for each process of each service."""
    return [
        _process(name, service, around) for service in SERVICES for name in names(service, around.replicas)
    ]


def _process(process: str, name: str, around: Surroundings) -> Program:
    port = around.ports[process]
    state = around.state / name  # replicas share their service's database
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    mark = state / f"{process}.port"
    prefix = f"MALHA_{name.upper()}_"
    settings = {
        "LISTEN": f"127.0.0.1:{port}",
        "METRICS_LISTEN": f"127.0.0.1:{around.ports[f'{process}-metrics']}",
        "SHARE_PORTS": "true",
        "PORT_FILE": str(mark),
        "STATE_DIR": str(state),
        "SECRETS_DIR": str(around.secrets.of(name)),
        **{f"{peer.upper()}_TARGET": around.target(peer) for peer in PEERS[name]},
    }
    if name in ON_NATS:
        settings |= {
            "NATS_URL": around.nats_url,
            "NATS_USER": name,
            "NATS_PASSWORD": around.secrets.nats_password(name),
        }
    if name in ON_VALKEY:
        settings["VALKEY_URL"] = around.valkey_url
    if around.otlp_endpoint:
        settings["OTLP_ENDPOINT"] = around.otlp_endpoint
    if name == "gateway":
        settings["BOOTSTRAP_KEY_FILE"] = str(around.secrets.api_key_file)
    own = {variable: value for variable, value in os.environ.items() if variable.startswith(prefix)}
    return Program(
        name=process,
        argv=(sys.executable, "-m", f"malha_{name}"),
        env=FRUGAL | {prefix + setting: value for setting, value in settings.items()} | own,
        ready=lambda: health(port) is Health.READY,
        alive=lambda: health(port) is not Health.SILENT,
        mark=mark,
    )
