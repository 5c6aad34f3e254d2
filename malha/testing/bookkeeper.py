"""Money kept the simple way: one object a key, and every sum by walking over all of them.

A second opinion on the ledger. It shares no code with it but the messages, and is in no hurry.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from malha.api.cost.v1.budget_pb2 import Scope, Window
from malha.api.cost.v1.cost_service_pb2 import Settlement

Account = tuple[str, Scope, str]
"""Tenant (empty for an organisation's), scope and id."""


class Bound(NamedTuple):
    """What a limit bounds: whose money, over which window."""

    account: Account
    window: Window
    rolling: bool = False

    @property
    def counts_from_when_it_was_set(self) -> bool:
        return self.window == Window.WINDOW_MINUTE or (self.window == Window.WINDOW_DAY and self.rolling)


@dataclass
class Held:
    """What is known of one step key."""

    accounts: tuple[Account, ...]
    at: int
    """Seconds since 1970, when it was reserved."""
    day: str
    rate: int
    ceiling: int
    bounds: frozenset[Bound]
    """Limits that were in force when it was reserved."""
    end: str = "open"
    amount: int = 0
    adjusted: int = 0

    @property
    def spent(self) -> int:
        return self.amount + self.adjusted if self.end != "open" else 0

    @property
    def reserved(self) -> int:
        return self.ceiling if self.end == "open" else 0


@dataclass
class Bookkeeper:
    """Follows every request, and says what must come of it."""

    daily: int
    """A tenant's limit by calendar days where none was set for its days, by the calendar or rolling."""
    limits: dict[Bound, int] = field(default_factory=dict)
    """What was set."""
    held: dict[tuple[str, str], Held] = field(default_factory=dict)
    """By tenant and key."""
    zones: dict[str, str] = field(default_factory=dict)

    def copy(self) -> Bookkeeper:
        """As it stands, for a question of which nobody knows whether it counts."""
        return copy.deepcopy(self)

    def today(self, tenant: str, now: datetime) -> str:
        """What the tenant calls this day."""
        return now.astimezone(ZoneInfo(self.zones.get(tenant) or "UTC")).date().isoformat()

    def settle(self, tenant: str, settlement: Settlement) -> int:
        """The amount held afterwards. Raises ValueError where the request must be refused."""
        held = self.held[tenant, settlement.key]
        if settlement.at_ceiling:
            if held.end == "open":
                held.end, held.amount = "provisional", held.ceiling
            return held.spent
        true = 0 if settlement.release else settlement.usage.input_tokens * held.rate
        if held.end == "open":
            held.end, held.amount = "released" if settlement.release else "settled", true
        elif held.end == "provisional":
            held.end, held.amount = "settled", true
        elif held.amount != true:
            raise ValueError(settlement.key)
        return held.spent

    def in_force(self, accounts: Iterable[Account]) -> dict[Bound, int]:
        """The limits that bound any of these."""
        mine = set(accounts)
        limits = {bound: most for bound, most in self.limits.items() if bound.account in mine}
        for account in mine:
            bounds = (Bound(account, Window.WINDOW_DAY), Bound(account, Window.WINDOW_DAY, rolling=True))
            if account[1] == Scope.SCOPE_TENANT and not any(bound in limits for bound in bounds):
                limits[bounds[0]] = self.daily
        return limits

    def under(self, bound: Bound, tenant: str, now: datetime) -> int:
        """What is spent and reserved in the window that ends now, by the tenant's calendar."""
        counted = (held for held in self.held.values() if self._counts(held, bound, tenant, now))
        return sum(held.spent + held.reserved for held in counted)

    def balances(self) -> Counter[tuple[str, int, str, str, str]]:
        """What is spent and what is reserved, by account and day."""
        sums: Counter[tuple[str, int, str, str, str]] = Counter()
        for held in self.held.values():
            for account in held.accounts:
                sums[*account, held.day, "spent"] += held.spent
                sums[*account, held.day, "reserved"] += held.reserved
        return +sums

    def _counts(self, held: Held, bound: Bound, tenant: str, now: datetime) -> bool:
        if bound.account not in held.accounts:
            return False
        if bound.counts_from_when_it_was_set and bound not in held.bounds:
            return False
        end, today = int(now.timestamp()), self.today(tenant, now)
        match bound.window, bound.rolling:
            case Window.WINDOW_MINUTE, False:
                return held.at // 60 == end // 60
            case Window.WINDOW_MINUTE, True:
                return held.at // 5 >= (end - 60) // 5
            case Window.WINDOW_DAY, False:
                return held.day >= today
            case Window.WINDOW_DAY, True:
                return held.at // 3600 >= (end - 86400) // 3600
            case Window.WINDOW_MONTH, False:
                return held.day >= today[:8] + "01"
            case Window.WINDOW_MONTH, True:
                month_ago = datetime.fromisoformat(today).replace(tzinfo=UTC) - timedelta(days=30)
                return held.day >= month_ago.date().isoformat()
        return True


def organisation(name: str) -> Account:
    """The account of all its tenants together."""
    return "", Scope.SCOPE_ORGANISATION, name
