"""Whose money an entry is, and in which balances it shows.

A balance is nothing but the sum of the entries that bear on its account in its period; so it can always
be made again from them, and `malha ledger check` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from malha.api.cost.v1.budget_pb2 import Scope
from malha_cost.ledger import Entry
from malha_cost.windows import periods

RUN, KEY, TENANT, REQUEST = Scope.SCOPE_RUN, Scope.SCOPE_KEY, Scope.SCOPE_TENANT, Scope.SCOPE_REQUEST
SESSION, USER, ORGANISATION = Scope.SCOPE_SESSION, Scope.SCOPE_USER, Scope.SCOPE_ORGANISATION
NOBODY = ""
"""Stands in place of the tenant for what belongs to an organisation: no tenant reads it."""


class Account(NamedTuple):
    """A tenant's money, or that of one of its keys, users, sessions or runs, or an organisation's."""

    tenant: str
    scope: int
    scope_id: str


class Place(NamedTuple):
    """A balance: what an account spent and holds in a period."""

    tenant: str
    scope: int
    scope_id: str
    period: str


class Move(NamedTuple):
    """What changes there."""

    spent: int
    reserved: int
    tokens: int
    held_tokens: int


def accounts(entry: Entry) -> tuple[Account, ...]:
    """The accounts an entry bears on."""
    return _accounts(
        entry.tenant, entry.run_id, entry.key_id, entry.user_id, entry.session, entry.organisation
    )


@lru_cache(512)
def _accounts(
    tenant: str, run_id: str, key_id: str, user_id: str, session: str, organisation: str
) -> tuple[Account, ...]:
    found = [Account(tenant, RUN, run_id), Account(tenant, TENANT, "")]
    found += [
        Account(tenant, scope, scope_id)
        for scope, scope_id in ((KEY, key_id), (USER, user_id), (SESSION, session))
        if scope_id
    ]
    if organisation:
        found.append(Account(NOBODY, ORGANISATION, organisation))
    return tuple(found)


def changes(entries: Iterable[Entry]) -> Iterator[tuple[Entry, Move]]:
    """What entries change, summed over those that show in the same places, with one of them."""
    sums: dict[tuple[object, ...], tuple[Entry, list[int]]] = {}
    for entry in entries:
        if entry.spent or entry.reserved or entry.tokens or entry.held_tokens:
            where = accounts(entry), entry.day, entry.grains and (entry.grains, entry.opened_us)
            _, move = sums.setdefault(where, (entry, [0, 0, 0, 0]))
            move[0] += entry.spent
            move[1] += entry.reserved
            move[2] += entry.tokens
            move[3] += entry.held_tokens
    for entry, move in sums.values():
        if any(move):
            yield entry, Move(*move)


def moves(entries: Iterable[Entry]) -> dict[Place, Move]:
    """What entries change, by place; places where nothing changes are left out."""
    found: dict[Place, Move] = {}
    for entry, move in changes(entries):
        for account in accounts(entry):
            for period in periods(account.scope, entry.day, entry.opened_us, entry.grains):
                place = Place(*account, period)
                before = found.get(place)
                found[place] = Move(*map(sum, zip(before, move, strict=True))) if before else move
    return {place: move for place, move in found.items() if any(move)}
