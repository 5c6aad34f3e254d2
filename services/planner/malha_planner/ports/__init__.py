"""What the planner needs from outside, and nothing about how it gets it.

Ideas in this package see only these Protocols and the contract's messages; `app.py`
decides which adapter stands behind each.
"""

from malha_planner.ports.calling import (
    Acting,
    Boundaries,
    Deltas,
    Guard,
    Ledger,
    Listening,
    Model,
    ModelReply,
    Models,
    NoAnswerError,
    NoBoundaries,
    Toolbox,
)
from malha_planner.ports.following import (
    Announcement,
    Announcer,
    Chore,
    Leadership,
    Overtaken,
    Presence,
    RecordFeed,
    Row,
    RunsTable,
)
from malha_planner.ports.keeping import (
    Alerts,
    Disk,
    Effects,
    Erasures,
    HeldMoney,
    Keys,
    Shelf,
    Streams,
)
from malha_planner.ports.queueing import (
    Due,
    Hint,
    Waker,
    WorkItem,
)

__all__ = [
    "Acting",
    "Alerts",
    "Announcement",
    "Announcer",
    "Boundaries",
    "Chore",
    "Deltas",
    "Disk",
    "Due",
    "Effects",
    "Erasures",
    "Guard",
    "HeldMoney",
    "Hint",
    "Keys",
    "Leadership",
    "Ledger",
    "Listening",
    "Model",
    "ModelReply",
    "Models",
    "NoAnswerError",
    "NoBoundaries",
    "Overtaken",
    "Presence",
    "RecordFeed",
    "Row",
    "RunsTable",
    "Shelf",
    "Streams",
    "Toolbox",
    "Waker",
    "WorkItem",
]
