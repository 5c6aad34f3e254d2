"""Named points at which a process ends or stops itself, because a test laid a wire across.

A test arms a point by a file; whoever reaches it first takes the file away and sends itself the signal
that stands in it, so one wire is one fault, whichever process gets there and however many do. A point
that is not armed costs one failed look at the disk.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import NamedTuple


class Tripped(NamedTuple):
    """Who ran into a wire."""

    pid: int
    signal: signal.Signals


class Tripwires:
    """The wires in one folder. The first methods are the test's, ``reach`` is for the process under test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._passed: Counter[str] = Counter()

    def arm(self, point: str, signum: signal.Signals, *, after: int = 0, doomed: bool = False) -> None:
        """Lay a wire; the first ``after`` reaches are let pass.

        Args:
            doomed: who is stopped by it and goes on dies behind the very thing it was about to do.
        """
        self._tripped(point).unlink(missing_ok=True)
        part = self._folder / f".{point}"
        part.write_text(json.dumps({"signal": signum, "after": after, "doomed": doomed}))
        os.replace(part, self._armed(point))

    def disarm(self, point: str) -> None:
        """Take a wire away that nobody reached."""
        self._armed(point).unlink(missing_ok=True)

    def tripped(self, point: str) -> Tripped | None:
        """Who ran into it, once somebody has."""
        try:
            told = json.loads(self._tripped(point).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return Tripped(told["pid"], signal.Signals(told["signal"]))

    async def reach(self, point: str) -> bool:
        """For the process under test: pass the point, or meet one's fate. True for the doomed who live on."""
        try:
            told = json.loads(self._armed(point).read_bytes())
        except FileNotFoundError:
            return False
        if self._passed[point] < told["after"]:
            self._passed[point] += 1
            return False
        mine = self._folder / f".{point}.{os.getpid()}"
        try:
            os.rename(self._armed(point), mine)
        except FileNotFoundError:
            return False  # another was quicker
        mine.write_text(json.dumps({"pid": os.getpid(), "signal": told["signal"]}))
        os.replace(mine, self._tripped(point))
        os.kill(os.getpid(), told["signal"])
        return bool(told["doomed"])

    def _armed(self, point: str) -> Path:
        return self._folder / f"{point}.armed"

    def _tripped(self, point: str) -> Path:
        return self._folder / f"{point}.tripped"
