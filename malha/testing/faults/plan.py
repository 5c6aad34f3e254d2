"""What is injected, from a seed: every kind of fault at every place comes up equally often.

All faults there are make a deck; a deck is dealt out to a few seeds, and the next seeds take another
shuffle of it. So any run of seeds covers all places evenly, and a seed always names the same faults.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
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

_CLUSTER_EVERY = 8
_CARDS_A_SEED = 24
_WAVE = 6
_DEATHS_A_WAVE = 3
"""How often a wave may take the work from its worker: a run has five deliveries, and no run is longer."""
_FREQUENT = ("append.claim", "append.intention", "append.result", "Authorize", "Execute", "Check", "announce")


_SHORT = (
    (
        *("kill at a boundary planner.append.claim.after", "kill at a boundary planner.append.end.before"),
        *("kill at a boundary tools.effect.finish.after", "kill at a boundary cost.serve.Authorize.after"),
        *("kill at a boundary gateway.append.accepted.after", "kill guard", "kill valkey"),
    ),
    (
        *("kill at a boundary planner.call.Execute.after", "kill edge", "cut gateway-nats"),
        "pause at a boundary beyond the lease planner.append.result.before",
        *("delay planner-tools", "kill retrieval", "clock jump forward"),
    ),
    (
        *("kill nats", "half-open planner-cost", "restart valkey", "pause tools", "cut model answers middle"),
        "pause beyond the lease and kill at the next boundary planner.call.Authorize",
    ),
    ("full disk nats", "kill at a boundary planner.wake.before", "kill cost", "kill tools"),
)  # fmt: skip


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
    """One injection: what, where, when within its wave, and how long or how far."""

    kind: Kind
    where: str
    at: float = 0.0
    """Seconds from the wave's start."""
    size: float = 0.0
    """Seconds it lasts, or by which a clock jumps."""
    after: int = 0
    """How many reaches of the boundary are let pass."""
    provoked_by: str = ""
    """A boundary to kill at first, so that this one is reached."""

    def __str__(self) -> str:
        return f"{self.kind.value} {self.where}"


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
    ]


def nodes(seed: int) -> int:
    """How many nodes the broker of a seed's mesh has."""
    return 3 if seed % _CLUSTER_EVERY == _CLUSTER_EVERY - 1 else 1


def seeds_a_deck() -> int:
    """How many seeds with one broker deal the deck out once."""
    return -(-len(deck()) // _CARDS_A_SEED)


def waves(seed: int) -> Iterator[list[Fault]]:
    """The faults of a seed, a few at a time."""
    chance = random.Random(f"faults {seed}")  # noqa: S311 - repeatable, no secret
    if nodes(seed) > 1:
        yield from ([_timed(card, chance) for card in wave] for wave in _LEADERS)
        return
    cycle, hand = divmod(seed - seed // _CLUSTER_EVERY, seeds_a_deck())
    shuffled = deck()
    random.Random(cycle).shuffle(shuffled)  # noqa: S311 - repeatable, no secret
    cards = shuffled[hand :: seeds_a_deck()]
    while cards:
        wave: list[Fault] = []
        deaths = 0
        for card in list(cards):
            if len(wave) == _WAVE:
                break
            deadly = _deaths(card)
            if deaths + deadly > _DEATHS_A_WAVE:
                continue
            deaths += deadly
            wave.append(card)
            cards.remove(card)
        yield [_timed(card, chance) for card in wave]


def short() -> list[list[Fault]]:
    """Every kind of fault, every process, and the boundaries on which most depends, in a minute."""
    chance = random.Random("short")  # noqa: S311 - repeatable, no secret
    return [[_timed(_named(name), chance) for name in wave] for wave in _SHORT]


_LEADERS = tuple(
    (Fault(Kind.LEADER, stream), Fault(Kind.KILL, process), Fault(Kind.KILL_AT, point))
    for stream, process, point in (
        ("RUNS", "gateway", "planner.append.intention.after"),
        ("WORK", "tools", "planner.ack.before"),
        ("EVENTS", "cost", "planner.announce.after"),
        ("RUNS", "edge", "planner.append.end.before"),
    )
)
"""Of a mesh whose broker has three nodes: what leads a stream is lost, and what stood on it with it."""


def alone(name: str, seed: int) -> list[list[Fault]]:
    """One fault, by its name."""
    return [[_timed(_named(name), random.Random(seed))]]  # noqa: S311 - repeatable, no secret


def _named(name: str) -> Fault:
    return next(card for card in deck() if str(card) == name)


def _timed(card: Fault, chance: random.Random) -> Fault:
    size = {
        Kind.STOP: chance.uniform(2.5, 5.0),
        Kind.STOP_AT: chance.uniform(3.0, 5.0),
        Kind.ZOMBIE: chance.uniform(3.0, 5.0),
        Kind.DELAY: chance.uniform(0.02, 0.3),
        Kind.SILENCE: chance.uniform(1.0, 6.0),
        Kind.DISK: chance.uniform(1.0, 3.0),
        Kind.LEADER: chance.uniform(1.0, 4.0),
        Kind.CLOCK: 3600.0 if card.where == "forward" else -3600.0,
    }.get(card.kind, 0.0)
    frequent = not card.provoked_by and any(name in card.where for name in _FREQUENT)
    after = chance.randrange(4) if frequent else 0
    return Fault(card.kind, card.where, chance.uniform(0.0, 2.0), size, after, card.provoked_by)


def _provoked(point: str) -> str:
    return next((first for part, first in _PROVOKED.items() if part in point and first != point), "")


def _owned(point: str) -> bool:
    """Whether a worker that stands still here loses its run while it is in the middle of it."""
    return point.startswith(("planner.append.", "planner.call.Execute", "planner.call.Authorize"))


def _deaths(card: Fault) -> int:
    takes = (
        card.where.startswith(("planner", "nats")) or card.where.endswith("-nats") or card.kind is Kind.DISK
    )
    return int(takes) + int(card.provoked_by.startswith("planner"))
