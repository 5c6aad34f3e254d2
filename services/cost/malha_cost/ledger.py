"""A ledger is only ever added to: each entry moves money between free, reserved and spent.

``reserved`` and ``spent`` of an entry are signed changes, and what is free changes by the rest, so that
an entry's three postings add up to zero and sums over entries are balances. A step key has one entry a
stage: it is opened by a reservation, closed once, and corrected at most once, and only if it was closed
provisionally. The tokens and the reference of a correction are changes too. What people move afterwards,
for a reason, are adjustments behind these.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from malha_cost.prices import Rates

MOST_MICROUSD = 10**15
"""No single amount is larger (a billion dollars): sums stay far from the end of 64 bits."""

OPENED, CLOSED, CORRECTED = 0, 1, 2


class Kind(StrEnum):
    """What an entry says."""

    RESERVATION = "reservation"
    SETTLEMENT = "settlement"
    PROVISIONAL = "provisional"
    RELEASE = "release"
    CORRECTION = "correction"
    ADJUSTMENT = "adjustment"


DECLARED = "declared"
"""In place of a price row: the price came with the reservation."""

PRICED_BY_TOKENS = {"model", "embedding"}


class Entry(NamedTuple):
    """One line of the ledger; the fields are the table's columns, in their order."""

    tenant: str
    key: str
    stage: int
    kind: str
    at_us: int
    """When it was written, in microseconds since 1970."""
    day: str
    """Of the reservation, in the tenant's time zone, YYYY-MM-DD: all entries of a key count there."""
    key_id: str
    run_id: str
    agent: str
    component: str
    """"model", "embedding", "search", "tool" or "infrastructure"."""
    provider: str
    model: str
    """Name of the model or tool."""
    price_row: str
    input_rate: int
    cached_rate: int
    output_rate: int
    input_tokens: int
    """Of a reservation: its ceiling. Of the others: what was used."""
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    reserved: int
    spent: int
    reference: int
    """What the tokens would have cost on the model of comparison, in micro-dollars."""
    reference_model: str
    organisation: str
    user_id: str
    """A pseudonym of the subject: the ledger is kept for ever and names no person."""
    session: str
    """A pseudonym too: callers choose what sessions are called."""
    agent_version: str
    opened_us: int
    """When the key was reserved."""
    grains: int
    """Which finer periods the key counts in (`windows.fine`), as budgets had it when it was reserved."""
    held_tokens: int
    tokens: int
    """Changes of what is held and what was used, as ``reserved`` and ``spent`` are of money."""
    saved: int
    """Of a settlement: micro-dollars that a kept answer saved."""
    adjustment: str
    reason: str
    """Of an adjustment: its id, and why."""
    terms: str
    """What the three rates do not say of the price (`prices.Rates.terms`)."""


class Payer(NamedTuple):
    """Who asks."""

    tenant: str
    key_id: str
    user_id: str
    tier: int


@lru_cache(8192)
def pseudonym(tenant: str, name: str) -> str:
    """What stands for a subject's or a session's name: the same for the same name, and no way back."""
    if not name:
        return ""
    digest = hashlib.sha256(tenant.encode() + b"\x00" + name.encode()).digest()
    return b32encode(digest[:20]).decode().lower()


def rates_of(entry: Entry) -> Rates:
    """By which a line was priced."""
    return Rates.kept(entry.input_rate, entry.cached_rate, entry.output_rate, entry.terms)


def corrected(history: list[Entry]) -> bool:
    """Whether the true figures of a key that was closed provisionally came."""
    return any(line.stage == CORRECTED for line in history)
