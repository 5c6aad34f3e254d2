"""A webhook's endpoint, and what is on its way there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from malha.api.gateway.v1.webhook_service_pb2 import Webhook
from malha.api.run.v1.record_pb2 import Sealed


class Endpoint(NamedTuple):
    """A webhook as it is kept."""

    tenant: str
    webhook: Webhook
    secret: Sealed
    failures: int = 0
    """In a row."""


class Heard(NamedTuple):
    """An event that was announced."""

    sequence: int
    tenant: str
    type: str
    """Such as "run.finished"."""


class Due(NamedTuple):
    """A delivery whose time has come."""

    webhook_id: str
    sequence: int
    attempts: int
    """That failed."""
    first_us: int


class Outcome(NamedTuple):
    """How an attempt went."""

    text: str
    """As ``Webhook.last_outcome`` says it."""
    delivered: bool
    over: bool = False
    """Whether the endpoint says that it wants nothing any more."""


def wants(types: Iterable[str], event_type: str) -> bool:
    """Whether an endpoint that named these types wants the event; one that named none wants all."""
    named = tuple(types)
    family = event_type.partition(".")[0] + ".*"
    return not named or event_type in named or family in named
