"""The journal on NATS JetStream.

``connect`` a ``Connection``, ``ensure_streams`` once at start, then ``NatsJournal(connection)`` and
``NatsKeyRing(connection, read_master_key(path))``.
"""

from malha.run.nats_journal.connection import Connection, connect
from malha.run.nats_journal.deltas import NatsDeltas
from malha.run.nats_journal.journal import NatsJournal, entry_of
from malha.run.nats_journal.key_ring import NatsKeyRing, read_master_key
from malha.run.nats_journal.overwriting import overwrite
from malha.run.nats_journal.streams import (
    EVENT_SUBJECTS,
    EVENTS,
    KEYS,
    RUN_SUBJECTS,
    RUNS,
    WORK,
    WORK_SUBJECTS,
    UnfitServerError,
    ensure_streams,
    event_subject,
    work_subject,
)

__all__ = [
    "EVENTS",
    "EVENT_SUBJECTS",
    "KEYS",
    "RUNS",
    "RUN_SUBJECTS",
    "WORK",
    "WORK_SUBJECTS",
    "Connection",
    "NatsDeltas",
    "NatsJournal",
    "NatsKeyRing",
    "UnfitServerError",
    "connect",
    "ensure_streams",
    "entry_of",
    "event_subject",
    "overwrite",
    "read_master_key",
    "work_subject",
]
