"""What the gateway keeps of keys and of who pays. Every method raises MalhaError when its store is away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from malha_gateway.keys import StoredKey
from malha_gateway.subscriptions import Event, Paid


class KeyStore(Protocol):
    """Keeps API keys, without their secrets."""

    async def find(self, key_id: str) -> StoredKey | None:
        """The key of that id."""
        ...

    async def put(self, key: StoredKey) -> None:
        """Keep a key, in place of one of the same id."""
        ...

    async def revoke(self, key_id: str, at: datetime) -> None:
        """End a key; one that has ended stays as it is."""
        ...


class Payer(NamedTuple):
    """Who pays for a tenant, by Stripe's id; empty for nobody."""

    customer: str
    paid: Paid


class Taken(NamedTuple):
    """What an event came to: for which tenant (empty where the customer pays for none), and whether anew."""

    tenant: str
    paid: Paid
    changed: bool
    repeated: bool
    """It was kept before."""


class TenantStore(Protocol):
    """Keeps who pays for whom, and what was told of it; whatever is answered is on disk.

    ``judge`` says what all events of a customer come to, in the transaction that keeps it.
    """

    async def take(self, event: Event, judge: Callable[[Sequence[Event]], Paid]) -> Taken:
        """Keep an event, and link its customer where it names a tenant and both are free.

        One that was kept before links nobody, but is judged anew: settings may have changed since.
        """
        ...

    async def link(self, tenant: str, customer: str, judge: Callable[[Sequence[Event]], Paid]) -> Payer:
        """Let a customer pay for a tenant, in place of any other of both; an empty customer is nobody."""
        ...

    async def payer(self, tenant: str) -> Payer:
        """Who pays for a tenant."""
        ...
