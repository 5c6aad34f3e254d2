"""Whose money an entry is, and in which balances it shows.

A balance is nothing but the sum of the entries that bear on its account in its period; so it can always
be made again from them, and `malha ledger check` does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
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


def accounts(entry: Entry) -> list[Account]:
    """The accounts an entry bears on."""
    tenant = entry.tenant
    found = [Account(tenant, RUN, entry.run_id), Account(tenant, TENANT, "")]
    if entry.key_id:
        found.append(Account(tenant, KEY, entry.key_id))
    if entry.user_id:
        found.append(Account(tenant, USER, entry.user_id))
    if entry.session:
        found.append(Account(tenant, SESSION, entry.session))
    if entry.organisation:
        found.append(Account(NOBODY, ORGANISATION, entry.organisation))
    return found


def places(entry: Entry) -> list[Place]:
    """The balances an entry shows in."""
    if not entry.grains:
        return [Place(*account, entry.day) for account in accounts(entry)]
    return [
        Place(*account, period)
        for account in accounts(entry)
        for period in periods(account.scope, entry.day, entry.opened_us, entry.grains)
    ]


def moves(entries: Iterable[Entry]) -> dict[Place, Move]:
    """What entries change, summed by place; places where nothing changes are left out."""
    sums: defaultdict[Place, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for entry in entries:
        if entry.spent or entry.reserved or entry.tokens or entry.held_tokens:
            for place in places(entry):
                move = sums[place]
                move[0] += entry.spent
                move[1] += entry.reserved
                move[2] += entry.tokens
                move[3] += entry.held_tokens
    return {place: Move(*move) for place, move in sums.items() if any(move)}
