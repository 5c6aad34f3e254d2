"""What Stripe tells, and whether it is Stripe that tells it.

A webhook is signed over the bytes of its body, so it is looked at before anything reads it:
https://docs.stripe.com/webhooks#verify-manually. Of what it says no more is taken than who pays, what for,
and whether it was paid. Nothing of a person is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from malha.errors import MalhaError, invalid
from malha_gateway.subscriptions import Event, Standing

HEADER = "stripe-signature"
TOLERANCE_SECONDS = 300
"""A webhook that was signed longer ago, or ahead, is not believed: it may be a recording."""

_OF_A_SUBSCRIPTION = {
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
}
_OF_AN_INVOICE = {"invoice.paid": Standing.PAID, "invoice.payment_failed": Standing.FAILING}
_STATUS = {
    "active": Standing.PAID,
    "trialing": Standing.PAID,
    "past_due": Standing.FAILING,
    "canceled": Standing.ENDED,
    "incomplete_expired": Standing.ENDED,
}
"""Of a subscription; the others (incomplete, unpaid, paused) give nothing and may come back."""
_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def verify(body: bytes, signature: str, secrets: Sequence[str], now: datetime) -> None:
    """Whether the header Stripe-Signature was made over ``body`` with one of ``secrets``, lately.

    Raises:
        MalhaError: FIELD_INVALID of the header.
    """
    pairs = [part.strip().partition("=") for part in signature.split(",")]
    signed_at = next((value for name, _, value in pairs if name == "t"), "")
    given = [value.encode() for name, _, value in pairs if name == "v1"]
    if not (signed_at.isascii() and signed_at.isdecimal() and given):
        raise _unbelieved("is not of the form t=...,v1=...")
    signed = signed_at.encode() + b"." + body
    expected = [hmac.new(key.encode(), signed, hashlib.sha256).hexdigest().encode() for key in secrets]
    # while a secret is replaced Stripe signs with both
    if not any(hmac.compare_digest(one, other) for one in expected for other in given):
        raise _unbelieved("does not fit the body")
    if abs(now.timestamp() - int(signed_at)) > TOLERANCE_SECONDS:
        raise _unbelieved("was not made within 5 minutes of now")


def read(body: bytes) -> Event | None:
    """What a webhook says of a subscription; None where it is about something else.

    Raises:
        ValueError: it is of a kind that is known here, and not of its shape.
    """
    try:
        said = json.loads(body)
        if said.get("account"):  # a connected account's, which has customers and metadata of its own
            return None
        kind, thing = said["type"], said["data"]["object"]
        prices: list[str] = []
        if kind == "checkout.session.completed":
            if thing["mode"] != "subscription":
                return None
            standing, subscription = Standing.NAMED, thing["subscription"]
        elif kind in _OF_A_SUBSCRIPTION:
            standing = _STATUS.get(thing["status"], Standing.STOPPED)
            if kind == "customer.subscription.deleted":
                standing = Standing.ENDED
            subscription, prices = thing["id"], _prices(thing)
        elif kind in _OF_AN_INVOICE:
            standing, subscription = _OF_AN_INVOICE[kind], _billed(thing)
            if not subscription:
                return None
        else:
            return None
        return Event(
            *(_id(said["id"]), _id(thing["customer"]), _id(subscription), int(said["created"])),
            standing=standing,
            prices=tuple(prices),
            tenant=_tenant(thing),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not a webhook of Stripe as it is known here: {error!r}") from error


def _id(name: object) -> str:
    """Stripe's id of something; what has none must not be taken for another that has none."""
    if not isinstance(name, str) or not name:
        raise TypeError(f"{type(name).__name__} in place of an id")
    return name


def _prices(subscription: Mapping[str, Any]) -> list[str]:
    """Ids and lookup keys of what is subscribed to."""
    prices = [item["price"] for item in subscription["items"]["data"]]
    return [name for price in prices for name in (price["id"], price.get("lookup_key")) if name]


def _billed(invoice: Mapping[str, Any]) -> str:
    """The subscription of an invoice; empty for none. Its place moved with Stripe's version of 2025-03-31."""
    parent = (invoice.get("parent") or {}).get("subscription_details") or {}
    return invoice.get("subscription") or parent.get("subscription") or ""


def _tenant(thing: Mapping[str, Any]) -> str:
    """The tenant that our own side named with Stripe's secret key; empty for none.

    The reference of a client (``client_reference_id``) is not ours: whoever opens a payment link or a page
    with a pricing table can write one.
    """
    named = (thing.get("metadata") or {}).get("tenant")
    return named if isinstance(named, str) and _TENANT.fullmatch(named) else ""


def _unbelieved(why: str) -> MalhaError:
    return invalid(HEADER, why)
