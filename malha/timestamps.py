"""Moments between Python and the contract."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp


def stamp(time: datetime) -> Timestamp:
    """A datetime (UTC) as a Timestamp."""
    stamped = Timestamp()
    stamped.FromDatetime(time)
    return stamped
