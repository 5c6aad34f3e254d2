"""What can be injected: every kind of fault at every place, and what each does to the runs in flight."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from malha.testing.faults.links import Links

PROCESSES = ("gateway", "planner", "tools", "retrieval", "guard", "cost", "nats", "valkey", "edge")

_BOUNDARIES = {
    "gateway": (
        *("append.accepted", "append.cancel", "call.Check", "call.ListAgents", "call.GetBudget"),
        *("serve.CreateRun", "serve.GetRun", "serve.CancelRun"),
    ),
    "planner": (
        *("append.claim", "append.intention", "append.result", "append.end", "append.parked"),
        *("call.ListTools", "call.Authorize", "call.Settle", "call.Execute", "call.Resolve", "call.Check"),
        *("wake", "upsert", "announce", "ack", "serve.ListAgents"),
    ),
    "tools": (
        *("serve.ListTools", "serve.Execute", "serve.Resolve", "effect.begin", "effect.finish"),
        "call.Search",
    ),
    "retrieval": ("serve.Search",),
    "guard": ("serve.Check",),
    "cost": ("serve.Authorize", "serve.Settle", "serve.GetBudget"),
}
POINTS = tuple(
    f"{service}.{name}.{side}"
    for service, names in _BOUNDARIES.items()
    for name in names
    for side in ("before", "after")
)
"""Every point at which a service can be killed."""

_ZOMBIES = (
    *("planner.call.Authorize", "planner.call.Settle", "planner.call.Execute", "planner.append.intention"),
    *("planner.append.end", "planner.announce"),
)
"""What a worker does that was taken for dead, before it is."""

# Where a point lies behind another fault, that one is laid as well.
_LOST_ANSWER = "planner.call.Execute.after"
_LOST_ACT = "tools.effect.finish.before"
_PROVOKED = {"Resolve": _LOST_ANSWER, "append.parked": _LOST_ACT}

_STREAMS = ("RUNS", "WORK", "EVENTS")


class Kind(Enum):
    """How it hurts."""

    KILL_AT = "kill at a boundary"
    STOP_AT = "pause at a boundary beyond the lease"
    ZOMBIE = "pause beyond the lease and kill at the next boundary"
    KILL = "kill"
    STOP = "pause"
    RESTART = "restart"
    CUT = "cut"
    DELAY = "delay"
    SILENCE = "half-open"
    MODEL = "cut model answers"
    DISK = "full disk"
    LEADER = "loss of the leader of three"
    CLOCK = "clock jump"


@dataclass(frozen=True, slots=True)
class Fault:
    """One injection: what, where, when, and how long or how far."""

    kind: Kind
    where: str
    at: float = 0.0
    """Seconds that it waits once its turn has come."""
    size: float = 0.0
    """Seconds it lasts, or by which a clock jumps."""
    after: int = 0
    """How many reaches of the boundary are let pass."""
    provoked_by: str = ""
    """A boundary to kill at first, so that this one is reached."""

    def __str__(self) -> str:
        return f"{self.kind.value} {self.where}"

    @property
    def points(self) -> tuple[str, ...]:
        """The boundaries at which it lays a wire, in order."""
        match self.kind:
            case Kind.KILL_AT | Kind.STOP_AT:
                return (self.provoked_by, self.where) if self.provoked_by else (self.where,)
            case Kind.ZOMBIE:
                return (f"{self.where}.before",)
            case _:
                return ()

    @property
    def victim(self) -> str:
        """Whom runs miss meanwhile; empty where it only takes the work from its worker."""
        match self.kind:
            case Kind.KILL_AT | Kind.STOP_AT | Kind.ZOMBIE:
                victim = self.where.partition(".")[0]
            case Kind.CUT | Kind.DELAY | Kind.SILENCE:
                victim = self.where.partition("-")[2]
            case Kind.MODEL:
                victim = "model"
            case Kind.DISK | Kind.LEADER | Kind.CLOCK:
                victim = ""
            case _:
                victim = self.where
        return "" if victim in ("planner", "nats") else victim

    @property
    def of_one_node(self) -> bool:
        """Whether it needs a broker of one node, which is a process of the mesh."""
        return self.kind is Kind.DISK or self.where == "nats" or self.where.endswith("-nats")


def deck() -> list[Fault]:
    """Every fault there is, once."""
    return [
        *(Fault(Kind.KILL_AT, point, provoked_by=_provoked(point)) for point in POINTS),
        *(Fault(Kind.STOP_AT, point, provoked_by=_provoked(point)) for point in POINTS if _owned(point)),
        *(Fault(Kind.ZOMBIE, name) for name in _ZOMBIES),
        *(Fault(Kind.KILL, process) for process in PROCESSES),
        *(Fault(Kind.STOP, process) for process in PROCESSES),
        *(Fault(Kind.RESTART, process) for process in ("nats", "valkey")),
        *(Fault(kind, link) for kind in (Kind.CUT, Kind.DELAY, Kind.SILENCE) for link in Links.NAMES),
        Fault(Kind.MODEL, "before"),
        Fault(Kind.MODEL, "middle"),
        Fault(Kind.DISK, "nats"),
        Fault(Kind.CLOCK, "forward"),
        Fault(Kind.CLOCK, "back"),
        *(Fault(Kind.LEADER, stream) for stream in _STREAMS),
    ]


def _provoked(point: str) -> str:
    return next((first for part, first in _PROVOKED.items() if part in point and first != point), "")


def _owned(point: str) -> bool:
    """Whether a worker that stands still here loses its run while it is in the middle of it."""
    return point.startswith(("planner.append.", "planner.call.Execute", "planner.call.Authorize"))
