"""Facts as CloudEvents 1.0 in JSON: thin, and the same bytes whoever publishes them.

Spec: https://github.com/cloudevents/spec, JSON event format 1.0. The data follows protobuf's JSON
mapping with the proto's own field names (64-bit integers are strings).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict

from malha.api.common.v1.usage_pb2 import Cost, Usage
from malha.api.event.v1.alert_pb2 import Alert
from malha.api.event.v1.event_pb2 import RunFact

SOURCE = "/malha/planner"
SOURCE_OF_ALERTS = "/malha/cost"

_PLAIN = (
    "tenant",
    "run_id",
    "position",
    "agent",
    "step",
    "kind",
    "name",
    "status",
    "error_reason",
    "risk",
    "hash",
    "by",
)
_TOKENS = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens")


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
            "data": _data(fact),
        },
        option=orjson.OPT_UTC_Z,
    )


def alert_event(alert: Alert) -> bytes:
    """The envelope around an alert; its id is the alert's, its subject whom or what it is about."""
    about = alert.run_id or "/".join(filter(None, (alert.scope or alert.agent or "tenant", alert.scope_id)))
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": alert.id,
            "source": SOURCE_OF_ALERTS,
            "type": f"malha.{alert_type(alert)}",
            "subject": about,
            "time": alert.time.ToJsonString(),
            "datacontenttype": "application/json",
            "data": MessageToDict(alert, preserving_proto_field_name=True),
        }
    )


def alert_type(alert: Alert) -> str:
    """Such as "alert.budget_warned"."""
    return f"alert.{alert.type}"


def _data(fact: RunFact) -> dict[str, Any]:
    """Field by field: done nine times a run, where generic JSON takes four times as long."""
    data = {name: value for name in _PLAIN if (value := getattr(fact, name))}
    if fact.HasField("usage"):
        data["usage"] = _usage(fact.usage)
    if fact.HasField("cost"):
        data["cost"] = _cost(fact.cost)
    return data


def _usage(usage: Usage) -> dict[str, str]:
    return {name: str(value) for name in _TOKENS if (value := getattr(usage, name))}


def _cost(cost: Cost) -> dict[str, str]:
    data: dict[str, str] = {}
    if cost.amount_microusd:
        data["amount_microusd"] = str(cost.amount_microusd)
    if cost.reference_microusd:
        data["reference_microusd"] = str(cost.reference_microusd)
    if cost.reference_model:
        data["reference_model"] = cost.reference_model
    return data
