"""The mesh on one machine: servers, six services and the edge, started, kept up, stopped in order."""

from malha.stack.control import NoMeshError, RollFailedError, order_roll
from malha.stack.ports import PortTakenError
from malha.stack.replicas import ReplicasError
from malha.stack.replicas import parse as parse_replicas
from malha.stack.servers import MissingServerError
from malha.stack.supervisor import StartError
from malha.stack.up import StateInUseError, UnusableFolderError, UpOptions, up

CANNOT_START = (
    MissingServerError,
    PortTakenError,
    ReplicasError,
    StateInUseError,
    UnusableFolderError,
    StartError,
)
"""What may keep a mesh from starting; each has a text for whoever started it."""

__all__ = [
    "CANNOT_START",
    "MissingServerError",
    "NoMeshError",
    "PortTakenError",
    "ReplicasError",
    "RollFailedError",
    "StartError",
    "StateInUseError",
    "UnusableFolderError",
    "UpOptions",
    "order_roll",
    "parse_replicas",
    "up",
]
