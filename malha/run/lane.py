"""Where a run's work waits: class and priority, as one part of a subject.

The priority is a suffix of the class rather than a part of its own: so a planner of an earlier version,
which knows no priorities, serves such a lane as that of one more class.
"""

from __future__ import annotations

from functools import cache

from malha.api.run.v1.record_pb2 import Accepted, Priority

_SUFFIXES = {Priority.PRIORITY_HIGH: "-high", Priority.PRIORITY_LOW: "-low"}


def lane_of(accepted: Accepted) -> str:
    """The lane of a run, such as ``interactive`` or ``batch-high``."""
    return accepted.work_class + _SUFFIXES.get(accepted.priority, "")


@cache
def parse_lane(lane: str) -> tuple[str, Priority]:
    """(class, priority) of a lane."""
    for priority, suffix in _SUFFIXES.items():
        if lane.endswith(suffix):
            return lane.removesuffix(suffix), priority
    return lane, Priority.PRIORITY_NORMAL
