"""One service with wired parts: ``python -m malha.testing.faults.service NAME``.

MALHA_TEST_FAULTS names the folder of the tripwires; MALHA_TEST_BROKEN, where set, a part of
``malha.testing.faults.broken`` that stands in the place of the sound one; MALHA_TEST_NODES says how many
nodes of the broker keep each record.
"""

from __future__ import annotations

import importlib
import os
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

from malha.lifecycle import run
from malha.run import claim
from malha.testing.faults import broken, clock
from malha.testing.faults.tripwires import Tripwires
from malha.testing.faults.wired import wire

FAULTS = "MALHA_TEST_FAULTS"
BROKEN = "MALHA_TEST_BROKEN"
NODES = "MALHA_TEST_NODES"
CLOCK_FILE = "clock"
_LIVES = 1000
"""How often a run may be taken up here: faults come faster than any run could bear that has five."""


def main(service: str) -> None:
    """Start it as its own ``__main__`` would."""
    app = importlib.import_module(f"malha_{service}.app")
    settings = importlib.import_module(f"malha_{service}.settings")
    folder = Path(os.environ[FAULTS])
    clock.put_into(app, folder / CLOCK_FILE)
    _spread_streams(app, int(os.environ.get(NODES, 1)))
    broken.put_into(service, app, os.environ.get(BROKEN, ""))
    claim.MAX_CLAIMS = claim.MAX_DELIVERIES = _LIVES
    wire(service, app, Tripwires(folder))
    run(service, settings.Settings, app.main)


def _spread_streams(app: ModuleType, nodes: int) -> None:
    if hasattr(app, "ensure_streams"):
        app.ensure_streams = partial(app.ensure_streams, replicas=nodes)  # type: ignore[attr-defined] # asked above


if __name__ == "__main__":
    main(sys.argv[1])
