"""A planner that dies or stops at a named boundary: `python -m malha.testing.planner_with_boundaries`.

MALHA_TEST_BOUNDARY is "<name>" or "<name>:<times>"; the process kills itself with SIGKILL at that
reach of the boundary. With MALHA_TEST_BOUNDARY_ACTION=stop it stops itself (SIGSTOP) instead, as a
paused virtual machine would. MALHA_TEST_BOUNDARY_ONCE names a file: while it exists nothing happens,
and it is written before the process dies, so that the planner started in its place lives.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from malha.lifecycle import run
from malha_planner.app import main
from malha_planner.settings import Settings


class DeadlyBoundaries:
    """`malha_planner.ports.Boundaries` that end or stop this process."""

    def __init__(self, name: str, times: int, signum: signal.Signals, once: Path | None) -> None:
        self._name = name
        self._left = times
        self._signum = signum
        self._once = once

    async def reach(self, name: str) -> None:
        if name != self._name or (self._once is not None and self._once.exists()):
            return
        self._left -= 1
        if self._left == 0:
            if self._once is not None:
                self._once.write_text(name, encoding="utf-8")
            os.kill(os.getpid(), self._signum)


def from_environment() -> DeadlyBoundaries:
    """The boundary that the environment names; none: an empty name, which is never reached."""
    name, _, times = os.environ.get("MALHA_TEST_BOUNDARY", "").partition(":")
    stop = os.environ.get("MALHA_TEST_BOUNDARY_ACTION") == "stop"
    once = os.environ.get("MALHA_TEST_BOUNDARY_ONCE")
    return DeadlyBoundaries(
        name, int(times or 1), signal.SIGSTOP if stop else signal.SIGKILL, Path(once) if once else None
    )


async def _main(settings: Settings) -> None:
    await main(settings, boundaries=from_environment())


if __name__ == "__main__":
    run("planner", Settings, _main)
