"""The planner's SQLite files, and nothing deleted left in them."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Sequence
from pathlib import Path

from malha.errors import unavailable
from malha.scouring import scour
from malha.telemetry.logs import log


class DatabaseFiles:
    """`malha_planner.ports.Disk` over SQLite files."""

    def __init__(self, *files: Path) -> None:
        self._files = files

    async def scour(self, ids: Sequence[str]) -> None:
        needles = [one.encode() for one in ids]
        for file in self._files:
            try:
                if await scour(file, needles):
                    log.info("database_written_anew", file=file.name)
            except (sqlite3.Error, subprocess.SubprocessError) as error:
                raise unavailable("planner") from error
