"""Whose turn it is, and whether there is room: the order in which lanes with work are asked.

Classes take turns, within a class its tenants, and of a tenant's lanes the one of the highest priority
goes first. Whose last turn is longest ago is next; so a tenant with ten thousand runs waiting gets its
turn as often as one with a single run, and whoever comes anew waits for no more than one turn of others.

Runs cannot be interrupted to make room. So a class has at most its share of the slots, and what batches
may not take is there when interactive work comes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar

from malha.run import Priority, parse_lane

K = TypeVar("K")

_REMEMBERED = 10_000


class Lane(NamedTuple):
    """A queue of its own: one class of work of one tenant, at one priority."""

    name: str
    """Class and priority, as `malha.run.lane_of` gives it."""
    tenant: str

    @property
    def work_class(self) -> str:
        return parse_lane(self.name)[0]

    @property
    def priority(self) -> Priority:
        return parse_lane(self.name)[1]


class Lanes:
    """The lanes that may have work, and the slots their items take.

    Args:
        slots: items at once.
        shares: by class, the part of the slots it may take; a class that is not named may take all.
        cap: how many items of one class a tenant may have at once.
    """

    def __init__(self, slots: int, shares: Mapping[str, float], cap: Callable[[str], int]) -> None:
        self.slots = slots
        """How many there are."""
        self._room = {name: max(1, math.ceil(share * slots)) for name, share in shares.items()}
        self._cap = cap
        self._questions: dict[str, dict[str, dict[Lane, int]]] = {}
        """By class and tenant: how often it is worth asking each of the lanes."""
        self._taken: Counter[str] = Counter()
        self._taken_by: Counter[tuple[str, str]] = Counter()
        self._classes: _Turns[str] = _Turns()
        self._tenants: _Turns[tuple[str, str]] = _Turns()

    @property
    def taken(self) -> int:
        """Slots in use."""
        return self._taken.total()

    def add(self, lane: Lane, items: int = 1) -> None:
        """So many items more are waiting in the lane."""
        of_tenant = self._of_tenant(lane)
        of_tenant[lane] = of_tenant.get(lane, 0) + items

    def at_least(self, lane: Lane, items: int) -> None:
        """So many items or more are waiting in the lane."""
        if items > 0:
            of_tenant = self._of_tenant(lane)
            of_tenant[lane] = max(of_tenant.get(lane, 0), items)

    def empty(self, lane: Lane) -> None:
        """Nothing is to be had from the lane for now."""
        of_class = self._questions.get(lane.work_class, {})
        of_tenant = of_class.get(lane.tenant, {})
        of_tenant.pop(lane, None)
        if not of_tenant:
            of_class.pop(lane.tenant, None)

    def waits(self, lane: Lane) -> bool:
        """Whether the lane may have work and was not asked yet."""
        return lane in self._questions.get(lane.work_class, {}).get(lane.tenant, {})

    def take(self) -> Lane | None:
        """The lane whose turn it is, with a slot for one of its items; None where none waits or has room."""
        if self.taken >= self.slots:
            return None
        for work_class in self._classes.order(name for name in self._questions if self._has_room(name)):
            waiting = ((work_class, tenant) for tenant in self._questions[work_class])
            turn = self._tenants.first(who for who in waiting if self._below_cap(*who))
            if turn is not None:
                return self._take(*turn)
        return None

    def occupy(self, lane: Lane) -> None:
        """One of the lane's items takes a slot, whether or not there is one left."""
        self._taken[lane.work_class] += 1
        self._taken_by[lane.work_class, lane.tenant] += 1

    def retake(self, lane: Lane) -> bool:
        """The same for an item that had left its slot, where there is room; whether there was."""
        room = self.taken < self.slots and self._has_room(lane.work_class)
        if not room or not self._below_cap(lane.work_class, lane.tenant):
            return False
        self.occupy(lane)
        return True

    def free(self, lane: Lane) -> None:
        """The slot is free again: its item is done with, or did not come."""
        who = lane.work_class, lane.tenant
        self._taken[lane.work_class] -= 1
        self._taken_by[who] -= 1
        if not self._taken_by[who]:
            del self._taken_by[who]

    def _of_tenant(self, lane: Lane) -> dict[Lane, int]:
        return self._questions.setdefault(lane.work_class, {}).setdefault(lane.tenant, {})

    def _has_room(self, work_class: str) -> bool:
        return self._taken[work_class] < self._room.get(work_class, self.slots)

    def _below_cap(self, work_class: str, tenant: str) -> bool:
        return self._taken_by[work_class, tenant] < self._cap(tenant)

    def _take(self, work_class: str, tenant: str) -> Lane:
        of_tenant = self._questions[work_class][tenant]
        lane = max(of_tenant, key=lambda one: one.priority)
        of_tenant[lane] -= 1
        if not of_tenant[lane]:
            self.empty(lane)
        self.occupy(lane)
        self._classes.had(work_class)
        self._tenants.had((work_class, tenant))
        return lane


class _Turns(Generic[K]):
    """Who had a turn when; who never had one comes first."""

    def __init__(self) -> None:
        self._count = 0
        self._last: dict[K, int] = {}

    def order(self, waiting: Iterable[K]) -> list[K]:
        return sorted(waiting, key=self._when)

    def first(self, waiting: Iterable[K]) -> K | None:
        return min(waiting, key=self._when, default=None)

    def had(self, who: K) -> None:
        self._count += 1
        self._last.pop(who, None)
        self._last[who] = self._count
        if len(self._last) > _REMEMBERED:
            del self._last[next(iter(self._last))]

    def _when(self, who: K) -> int:
        return self._last.get(who, 0)
