"""A planner that waits at its boundaries while a test holds them, to be killed there from outside."""

from __future__ import annotations

import os
from pathlib import Path

from malha.lifecycle import run
from malha.testing.pause_points import PausePoints
from malha_planner.app import main
from malha_planner.settings import Settings


async def _main(settings: Settings) -> None:
    await main(settings, boundaries=PausePoints(Path(os.environ["MALHA_TEST_PAUSES"])))


if __name__ == "__main__":
    run("planner", Settings, _main)
