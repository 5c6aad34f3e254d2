"""The streams: their names, subjects and settings, and the refusal of servers that cannot keep them."""

from __future__ import annotations

from malha.run.nats_journal.connection import Connection

RUNS = "RUNS"
WORK = "WORK"
EVENTS = "EVENTS"
KEYS = "KEYS"


def work_subject(work_class: str, tenant: str) -> str:
    """``malha.work.<class>.<tenant>``."""
    raise NotImplementedError


def event_subject(tenant: str, event_type: str) -> str:
    """``malha.event.<tenant>.<type>``; the type may have dots."""
    raise NotImplementedError


async def ensure_streams(connection: Connection, *, replicas: int = 1, max_bytes: int = 4 << 30) -> None:
    """Create the four streams or bring their settings up to date. Any number of services may do so at once.

    Raises:
        UnfitServerError: nats-server is older than 2.12, or has no JetStream.
        MalhaError: DEPENDENCY_UNAVAILABLE.
    """
    raise NotImplementedError
