"""A mesh that can be hurt: ``python -m malha.testing.faults.mesh``, started by ``malha.testing.mesh``.

Services have wired parts, every connection between processes goes through a link, and what died is
started again at once however often it dies. MALHA_TEST_LINKS names a file with the links' ports.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

from malha.stack import UpOptions, supervisor, up
from malha.stack.program import Program
from malha.stack.replicas import parse, role
from malha.stack.secrets import SERVICES
from malha.testing.faults.service import BROKEN, FAULTS, NODES

LINKS = "MALHA_TEST_LINKS"
ROUTES = "routes.json"
_ADDRESS = re.compile(r"127\.0\.0\.1:(\d+)")
_TOLD = (FAULTS, BROKEN, NODES)


class Rewiring:
    """Puts links and wired services into a mesh, and writes down where callees really are."""

    def __init__(self, folder: Path, links: dict[str, int]) -> None:
        self._folder = folder
        self._links = links
        self._routes: dict[str, int] = {}

    def __call__(self, program: Program) -> Program:
        if program.name == "nats":
            _set_room_aside(program)
        service = role(program.name)
        if service not in SERVICES:
            return program
        env = {name: self._rerouted(service, name, value) for name, value in program.env.items()}
        told = {name: os.environ[name] for name in _TOLD if name in os.environ}
        argv = (sys.executable, "-m", "malha.testing.faults.service", service)
        return replace(program, argv=argv, env=env | told)

    def _rerouted(self, service: str, variable: str, value: str) -> str:
        found = re.fullmatch(rf"MALHA_{service.upper()}_(\w+)_(TARGET|URL)", variable)
        address = _ADDRESS.search(value)
        if found is None or address is None or "," in value:  # the way to replicas is left alone
            return value
        callee = found[1].lower()
        link = self._links.get(f"{service}-{callee}")
        if link is None:
            return value
        self._routes[callee] = int(address[1])
        part = self._folder / f".{ROUTES}"
        part.write_text(json.dumps(self._routes))
        os.replace(part, self._folder / ROUTES)
        return value[: address.start(1)] + str(link) + value[address.end(1) :]


def _set_room_aside(program: Program) -> None:
    """Let nats-server promise its streams the room they ask for, on whatever disk there is."""
    config = Path(program.argv[-1])
    text = config.read_text()
    config.write_text(text.replace("max_memory_store: 64MB", "max_memory_store: 64MB, max_file_store: 64GB"))


def main() -> None:
    """Start it and stay until told to stop."""
    parser = argparse.ArgumentParser(description="A mesh that can be hurt.")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--free-ports", action="store_true")
    parser.add_argument("--ready-file", type=Path)
    parser.add_argument("--replicas", type=parse, default={})
    # here a crash a second is everyday life, no sign of a program that cannot be helped
    supervisor.LONGEST_PAUSE = supervisor.FIRST_PAUSE
    links = json.loads(Path(os.environ[LINKS]).read_text())
    rewiring = Rewiring(Path(os.environ[FAULTS]), links)
    asyncio.run(up(UpOptions(**vars(parser.parse_args())), instead=rewiring))


if __name__ == "__main__":
    main()
