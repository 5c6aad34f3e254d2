"""A mesh some of whose processes are of another version: `python -m malha.testing.mesh_of_two_versions`.

MALHA_TEST_OTHER names a checkout of that version, MALHA_TEST_OTHERS the processes that run its code, with
commas between. Both share the journal, the queue, the events and the services' databases.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from dataclasses import replace
from pathlib import Path

from malha.stack import UpOptions, parse_replicas, up
from malha.stack.program import Program


def instead(program: Program) -> Program:
    """The program on the code of the other version, where it is one of the others."""
    if program.name not in os.environ["MALHA_TEST_OTHERS"].split(","):
        return program
    checkout = Path(os.environ["MALHA_TEST_OTHER"])
    code = os.pathsep.join(str(folder) for folder in (checkout, *sorted(checkout.glob("services/*"))))
    # the first version knows nothing of shared ports, nor of more than one address
    known = {
        name: value.partition(",")[0] if name.endswith("_TARGET") else value
        for name, value in program.env.items()
        if not name.endswith("_SHARE_PORTS")
    }
    # -P: without the folder we are in, which holds this version
    argv = (program.argv[0], "-P", *program.argv[1:])
    return replace(program, argv=argv, env={**known, "PYTHONPATH": code})


def main() -> None:
    """Start it and stay until told to stop."""
    parser = argparse.ArgumentParser(description="A mesh of two versions.")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--free-ports", action="store_true")
    parser.add_argument("--ready-file", type=Path)
    parser.add_argument("--replicas", type=parse_replicas, default={})
    asyncio.run(up(UpOptions(**vars(parser.parse_args())), instead=instead))


if __name__ == "__main__":
    main()
