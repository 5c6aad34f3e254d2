"""What a worker needs, in memory: models that say what they are told, a till, a toolbox, a guard.

Each keeps what it was asked. None of them leaves a safety out: money is reserved before it is spent,
an effect key runs once, a blocked word is withheld.
"""

from malha.testing.planner.boundaries import Crash, CrashAt, HoldAt
from malha.testing.planner.deltas import MemoryDeltas
from malha.testing.planner.guard import WordGuard
from malha.testing.planner.leadership import Leading
from malha.testing.planner.ledger import MODEL_MICROUSD, MemoryLedger
from malha.testing.planner.model import ScriptedModel, asks, says
from malha.testing.planner.queue import MemoryItem
from malha.testing.planner.toolbox import MemoryToolbox, found

__all__ = [
    "MODEL_MICROUSD",
    "Crash",
    "CrashAt",
    "HoldAt",
    "Leading",
    "MemoryDeltas",
    "MemoryItem",
    "MemoryLedger",
    "MemoryToolbox",
    "ScriptedModel",
    "WordGuard",
    "asks",
    "found",
    "says",
]
