"""A wall clock that jumps when a test says so. Monotonic time goes on as it did, as on a real machine."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType

from malha.clock import SystemClock


class JumpingClock(SystemClock):
    """The machine's clock, and as many seconds as the file says."""

    file: Path

    def now(self) -> datetime:
        try:
            offset = float(self.file.read_text() or 0)
        except FileNotFoundError:
            offset = 0.0
        return super().now() + timedelta(seconds=offset)


def put_into(app: ModuleType, file: Path) -> None:
    """Let the composition root take this clock for the system's."""
    if hasattr(app, "SystemClock"):
        app.SystemClock = type("SystemClock", (JumpingClock,), {"file": file})  # type: ignore[attr-defined] # asked above
