"""Stripe as a webhook's receiver meets it: events of its shapes, signed as it signs them.

The shapes are those of https://docs.stripe.com/api/events, with more in them than anybody here reads.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from typing import Any

SECRET = "whsec_of_a_test"  # noqa: S105  # signs nothing but tests' events
CUSTOMER, SUBSCRIPTION = "cus_Ana", "sub_Ana"

_NUMBERS = itertools.count(1)


def signature(body: bytes, at: float, *secrets: str) -> str:
    """The header Stripe-Signature of ``body``, made ``at`` (seconds since 1970) with each of the secrets."""
    keys = secrets or (SECRET,)
    stamp = str(int(at))
    parts = [hmac.new(key.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest() for key in keys]
    return ",".join([f"t={stamp}", *(f"v1={part}" for part in parts), "v0=0"])


def event(kind: str, at: float, thing: dict[str, Any], *, event_id: str = "") -> bytes:
    """The body of a webhook: indented, as Stripe sends it."""
    said = {
        "id": event_id or f"evt_{next(_NUMBERS)}",
        "object": "event",
        "api_version": "2026-10-29",
        "created": int(at),
        "data": {"object": thing},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }
    return json.dumps(said, indent=2).encode()


def subscription(
    change: str,
    at: float,
    status: str = "active",
    *,
    price: str = "price_pro",
    lookup_key: str | None = None,
    customer: str = CUSTOMER,
    name: str = SUBSCRIPTION,
    tenant: str = "",
    event_id: str = "",
) -> bytes:
    """``customer.subscription.<change>``."""
    items = [{"id": "si_1", "price": {"id": price, "lookup_key": lookup_key, "unit_amount": 2000}}]
    thing: dict[str, Any] = {
        "id": name,
        "object": "subscription",
        "customer": customer,
        "status": status,
        "items": {"object": "list", "data": items},
        "metadata": {"tenant": tenant} if tenant else {},
    }
    return event(f"customer.subscription.{change}", at, thing, event_id=event_id)


def invoice(outcome: str, at: float, *, customer: str = CUSTOMER, name: str = SUBSCRIPTION) -> bytes:
    """``invoice.<outcome>``: "paid" or "payment_failed"."""
    thing = {
        "id": "in_1",
        "object": "invoice",
        "customer": customer,
        "customer_email": "ana@example.com",
        "parent": {"type": "subscription_details", "subscription_details": {"subscription": name}},
    }
    return event(f"invoice.{outcome}", at, thing)


def checkout(at: float, tenant: str, *, customer: str = CUSTOMER, reference: str | None = None) -> bytes:
    """``checkout.session.completed`` of a subscription, for a tenant. ``reference`` is the payer's word."""
    thing: dict[str, Any] = {
        "id": "cs_1",
        "object": "checkout.session",
        "mode": "subscription",
        "customer": customer,
        "subscription": SUBSCRIPTION,
        "client_reference_id": reference,
        "payment_link": None,
        "metadata": {"tenant": tenant} if tenant else {},
    }
    return event("checkout.session.completed", at, thing)
