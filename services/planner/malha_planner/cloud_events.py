"""Facts as CloudEvents 1.0 in JSON: thin, and the same bytes whoever publishes them.

Spec: https://github.com/cloudevents/spec, JSON event format 1.0. The data follows protobuf's JSON
mapping with the proto's own field names (64-bit integers are strings).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from malha.api.event.v1.event_pb2 import RunFact

SOURCE = "/malha/planner"

_LONG = {
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT64,
}


def cloud_event(event_type: str, fact: RunFact, time: datetime) -> bytes:
    """The envelope around a fact.

    Args:
        event_type: such as "run.finished"; the envelope's type is "malha.run.finished".
        time: when the journal stored it.
    """
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": f"{fact.tenant}/{fact.run_id}/{fact.position}",
            "source": SOURCE,
            "type": f"malha.{event_type}",
            "subject": fact.run_id,
            "time": time,
            "datacontenttype": "application/json",
            "data": _fields(fact),
        },
        option=orjson.OPT_UTC_Z,
    )


def _fields(message: Message) -> dict[str, Any]:
    """A message as protobuf's JSON mapping has it, for the kinds of field that facts have."""
    return {
        field.name: _fields(value)
        if field.type == FieldDescriptor.TYPE_MESSAGE
        else str(value)
        if field.type in _LONG
        else value
        for field, value in message.ListFields()
    }
