"""A mesh whose planner waits where a test holds it: `python -m malha.testing.mesh_with_pauses`.

Takes the options that `malha.testing.mesh` gives; MALHA_TEST_PAUSES names the folder of the pause
points, whose names are those of the planner's boundaries.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

from malha.stack import UpOptions, up
from malha.stack.program import Program

PAUSES = "MALHA_TEST_PAUSES"
PLANNER = (sys.executable, "-m", "malha.testing.planner_with_pauses")


def instead(program: Program) -> Program:
    """The planner with pauses in the planner's place."""
    if program.name != "planner":
        return program
    return replace(program, argv=PLANNER, env={**program.env, PAUSES: os.environ[PAUSES]})


def main() -> None:
    """Start it and stay until told to stop."""
    parser = argparse.ArgumentParser(description="A mesh whose planner waits where a test holds it.")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--free-ports", action="store_true")
    parser.add_argument("--ready-file", type=Path)
    asyncio.run(up(UpOptions(**vars(parser.parse_args())), instead=instead))


if __name__ == "__main__":
    main()
