"""Who listens where. Peers must know each other's ports before they start, so all are chosen up front."""

import socket
from collections.abc import Mapping, Sequence

from malha.stack.replicas import Replicas, names
from malha.stack.secrets import SERVICES

LISTENERS = ("edge", *SERVICES, "nats", "valkey", *(f"{service}-metrics" for service in SERVICES))
FIRST = 7400  # of the fixed ones: the edge is 7400, the others follow in the order above


class PortTakenError(Exception):
    """Another process listens where the mesh wants to; the message says where and what to do."""


def listeners(replicas: Replicas) -> list[str]:
    """All who listen: further replicas come last, so that they move nobody's fixed port."""
    further = [name for service in SERVICES for name in names(service, replicas)[1:]]
    return [*LISTENERS, *further, *(f"{name}-metrics" for name in further)]


def fixed_ports(who: Sequence[str] = LISTENERS) -> Mapping[str, int]:
    """The same ports at every start, for `make up`; refused if one is taken."""
    ports = {name: FIRST + offset for offset, name in enumerate(who)}
    for name, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise PortTakenError(
                    f"port {port} ({name}) is taken: stop what uses it, or use --free-ports"
                ) from None
    return ports
