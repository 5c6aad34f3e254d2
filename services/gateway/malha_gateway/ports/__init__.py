"""What the gateway's ideas need from outside, and nothing about how they get it."""

from malha_gateway.ports.calling import Acting, Cost, Deltas, Guard, Part, Planner, Retrieval
from malha_gateway.ports.keeping import KeyStore, Payer, Taken, TenantStore
from malha_gateway.ports.posting import EventFeed, Sender, WebhookStore

__all__ = [
    "Acting",
    "Cost",
    "Deltas",
    "EventFeed",
    "Guard",
    "KeyStore",
    "Part",
    "Payer",
    "Planner",
    "Retrieval",
    "Sender",
    "Taken",
    "TenantStore",
    "WebhookStore",
]
