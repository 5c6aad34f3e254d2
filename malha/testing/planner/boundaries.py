"""Boundaries at which a worker dies, or stands still."""

from __future__ import annotations

import asyncio


class Crash(BaseException):
    """The process dies here: nothing that handles errors handles this."""


class CrashAt:
    """Boundaries at which the worker dies: at the `times`-th reach of `name`."""

    def __init__(self, name: str, times: int = 1) -> None:
        self.name = name
        self.left = times

    async def reach(self, name: str) -> None:
        if name == self.name:
            self.left -= 1
            if self.left == 0:
                raise Crash(name)


class HoldAt:
    """Boundaries at which the worker stands still until it is let go: a paused process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def reach(self, name: str) -> None:
        if name == self.name and not self.go_on.is_set():
            self.reached.set()
            await self.go_on.wait()
