"""How services meet: server, peers, principals and errors on gRPC."""

from malha.wire.call import Call, acting_for, current
from malha.wire.chain import validate
from malha.wire.identity import Identity
from malha.wire.peer import Peer
from malha.wire.server import Server

__all__ = ["Call", "Identity", "Peer", "Server", "acting_for", "current", "validate"]
