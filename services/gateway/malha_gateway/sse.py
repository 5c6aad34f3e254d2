"""Server-sent events: a run's stream as any browser reads it (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from google.protobuf.json_format import MessageToJson
from google.rpc.status_pb2 import Status

from malha.api.gateway.v1.run_pb2 import RunEvent

CONTENT_TYPE = "text/event-stream"

OPENING = b"retry: 1000\n\n"
"""Sent first, so that headers leave at once; a reader that loses us comes back in a second."""

HEARTBEAT = b": alive\n\n"
"""A comment: readers ignore it, proxies see a living connection."""


def failure(status: Status) -> bytes:
    """Why the stream ends before the run does: an event ``error`` whose data is that of a refused call. It
    has no ``id``, so whoever comes back resumes after the last event that was told."""
    return f"event: error\ndata: {MessageToJson(status, indent=None, ensure_ascii=False)}\n\n".encode()


def encode(event: RunEvent) -> bytes:
    """One event: ``id`` is its position, ``event`` its kind, ``data`` the RunEvent as one line of JSON."""
    data = MessageToJson(
        event,
        preserving_proto_field_name=True,
        indent=None,
        ensure_ascii=False,
        # an offset of 0 is no less a part of a delta than any other
        always_print_fields_with_no_presence=event.HasField("delta"),
    )
    return f"id: {event.position}\nevent: {event.WhichOneof('event')}\ndata: {data}\n\n".encode()
