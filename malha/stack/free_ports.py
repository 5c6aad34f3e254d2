"""Ports nobody else has: chosen before their server starts, because its peers must know them before.

A port that was free a moment ago may be another's by the time its server binds it: given to an outgoing
connection, or chosen again by another test or mesh, whose server then answers strangers. So these lie below
the range of outgoing connections, and who chose one holds the UDP port of the same number, which no server of
ours uses, as the sign that it is taken. The kernel takes the sign down when its process ends.
"""

import random
import socket
from collections import deque
from collections.abc import Mapping, Sequence

from malha.stack.ports import LISTENERS

LOWEST, BEYOND = 10_000, 32_768
"""Linux gives outgoing connections ports from 32,768 on."""
_CHANCE = random.SystemRandom()  # the common generator is seeded alike in every process of a test run
_TRIES = 1_000
_signs: deque[socket.socket] = deque(maxlen=512)
"""Of the ports chosen last. A sign that falls out is closed: whoever chose its port serves there by then."""


def free_port() -> int:
    """A loopback port that no other caller gets, in this process or another.

    Raises:
        OSError: there is none, or no more files may be opened.
    """
    for _ in range(_TRIES):
        port = _CHANCE.randrange(LOWEST, BEYOND)
        sign = _bound(socket.SOCK_DGRAM, port)
        if sign is None:
            continue
        if (probe := _bound(socket.SOCK_STREAM, port)) is None:
            sign.close()
            continue
        probe.close()
        _signs.append(sign)
        return port
    raise OSError(f"no free port between {LOWEST} and {BEYOND} on loopback")


def free_ports(who: Sequence[str] = LISTENERS) -> Mapping[str, int]:
    """A port for each."""
    return {name: free_port() for name in who}


def _bound(kind: socket.SocketKind, port: int) -> socket.socket | None:
    opened = socket.socket(type=kind)
    try:
        opened.bind(("127.0.0.1", port))
    except OSError:
        opened.close()
        return None
    return opened
