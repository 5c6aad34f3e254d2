"""From a seed to its hand: which faults, and in which order.

All faults there are make a deck; a deck is dealt out to a few seeds, and the next seeds take another
shuffle of it. So any run of seeds covers all places evenly, and a seed always names the same faults.
Where some are to come up as often as others, a seed is dealt what came up least instead.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from malha.testing.faults.plan import Fault, Kind, deck

_CLUSTER_EVERY = 8
_CARDS_A_SEED = 56
_PLANNERS = (3, 2, 3, 2, 1)
_AGAIN = 4
"""How often a seed may be dealt the same fault; with a broker of three nodes, the loss of a leader."""
_TRIES = 4
"""How often a fault is planned at most, for each time that it is to come to pass."""
_FREQUENT = ("append.claim", "append.intention", "Authorize", "Execute", "Check", "announce")

_SHORT = (
    *("kill at a boundary planner.append.claim.after", "kill guard", "kill valkey"),
    *("kill at a boundary tools.effect.finish.after", "kill at a boundary cost.serve.Authorize.after"),
    *("kill at a boundary gateway.append.accepted.after", "kill at a boundary planner.append.end.before"),
    *("clock jump forward", "pause at a boundary beyond the lease planner.append.result.before"),
    *("kill edge", "cut gateway-nats", "delay planner-tools", "kill retrieval"),
    *("kill at a boundary planner.call.Execute.after", "kill nats", "half-open planner-cost"),
    *("restart valkey", "pause tools", "cut model answers middle"),
    "pause beyond the lease and kill at the next boundary planner.call.Authorize",
    *("full disk nats", "kill cost", "kill at a boundary planner.wake.before", "kill tools"),
)


def nodes(seed: int) -> int:
    """How many nodes the broker of a seed's mesh has."""
    return 3 if seed % _CLUSTER_EVERY == _CLUSTER_EVERY - 1 else 1


def planners(seed: int) -> int:
    """How many planners a seed's mesh has: with one, nobody takes over; with three, there is a choice."""
    return _PLANNERS[seed % len(_PLANNERS)]


def seeds_a_deck() -> int:
    """How many seeds with a broker of one node deal out once what needs no three."""
    return -(-len(_cards(1)) // _CARDS_A_SEED)


def hand(seed: int) -> list[Fault]:
    """The faults of a seed, in their order."""
    if nodes(seed) > 1:
        cards = _shuffled([card for card in _cards(nodes(seed)) if card.kind is not Kind.LEADER], seed)
        leaders = [card for card in deck() if card.kind is Kind.LEADER] * _AGAIN
        return _played([*leaders, *cards[: _CARDS_A_SEED - len(leaders)]], seed)
    cycle, place = divmod(seed - seed // _CLUSTER_EVERY, seeds_a_deck())
    return _played(_shuffled(_cards(1), cycle)[place :: seeds_a_deck()], seed)


def owed(seed: int, wanted: int, counts: Mapping[str, int], tried: Mapping[str, int]) -> list[int]:
    """What a seed is dealt of the faults that came up less often than is wanted, those owed most first.

    Args:
        counts: how often each came to pass, by name.
        tried: how often each was planned. One that hardly ever comes to pass is given up.

    Returns:
        Places in the deck, for `of_places`; each once, where there are enough, but for the loss of leaders.
        Empty where nothing is owed.
    """
    cards = {str(card): card for card in _shuffled(_cards(nodes(seed)), seed)}
    short = {
        name: wanted - counts.get(name, 0)
        for name in cards
        if counts.get(name, 0) < wanted and tried.get(name, 0) < _TRIES * wanted
    }
    most = sorted(short, key=lambda name: (cards[name].kind is not Kind.LEADER, -short[name]))
    leaders = sum(cards[name].kind is Kind.LEADER for name in most)
    dealt = [
        name
        for names in (most[:leaders], most[leaders:])
        for further in range(_AGAIN)
        for name in names
        if short[name] > further
    ]
    places = {str(card): place for place, card in enumerate(deck())}
    return [places[name] for name in dealt[:_CARDS_A_SEED]]


def of_places(seed: int, places: Iterable[int]) -> list[Fault]:
    """The faults at these places in the deck, as the seed times and orders them."""
    return _played([deck()[place] for place in places], seed)


def short() -> list[Fault]:
    """Every kind of fault, every process, and the boundaries on which most depends, in half a minute."""
    chance = random.Random("short")  # noqa: S311 - repeatable, no secret
    return [_timed(_named(name), chance) for name in _SHORT]


def alone(name: str, seed: int) -> list[Fault]:
    """One fault, by its name."""
    return _played([_named(name)], seed)


def _cards(brokers: int) -> list[Fault]:
    """What there is to do to a mesh whose broker has so many nodes."""
    return [card for card in deck() if not (card.of_one_node if brokers > 1 else card.kind is Kind.LEADER)]


def _named(name: str) -> Fault:
    return next(card for card in deck() if str(card) == name)


def _shuffled(cards: Sequence[Fault], chance: int) -> list[Fault]:
    return random.Random(chance).sample(cards, len(cards))  # noqa: S311 - repeatable, no secret


def _played(cards: Sequence[Fault], seed: int) -> list[Fault]:
    chance = random.Random(f"faults {seed}")  # noqa: S311 - repeatable, no secret
    return [_timed(card, chance) for card in chance.sample(cards, len(cards))]


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
    return replace(card, at=chance.uniform(0.0, 0.5), size=size, after=after)
