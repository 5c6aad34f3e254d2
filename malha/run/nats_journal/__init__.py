"""The journal on NATS JetStream.

``connect`` a ``Connection``, ``ensure_streams`` once at start, then ``NatsJournal(connection)`` and
``NatsKeyRing(connection, master_key)``.
"""
