"""Named places where a process waits while a test looks, or kills it."""

from __future__ import annotations

import asyncio
from pathlib import Path


class PausePoints:
    """The test calls :meth:`hold` beforehand; the process, reaching the point, says so and waits until
    :meth:`release`. Without a folder, or where nothing is held, passing one costs nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def hold(self, name: str) -> None:
        """Make whoever reaches ``name`` wait there."""
        self._reached(name).unlink(missing_ok=True)
        self._held(name).touch()

    def release(self, name: str) -> None:
        """Let them go on."""
        self._held(name).unlink(missing_ok=True)

    def reached(self, name: str) -> bool:
        """Whether somebody got there while it was held."""
        return self._reached(name).exists()

    async def reach(self, name: str) -> None:
        """For the process under test."""
        if self._folder is None or not self._held(name).exists():
            return
        self._reached(name).touch()
        while self._held(name).exists():  # noqa: ASYNC110  # another process lifts it: only the disk tells
            await asyncio.sleep(0.005)

    def _held(self, name: str) -> Path:
        assert self._folder is not None, "pause points need a folder"
        return self._folder / f"{name}.held"

    def _reached(self, name: str) -> Path:
        assert self._folder is not None, "pause points need a folder"
        return self._folder / f"{name}.reached"
