"""How long three nodes of the broker keep bytes of runs that were erased.

    python -m benchmarks.erasure

Prints one JSON line. The streams are clean at once; what the nodes told each other stays in their logs
until each takes stock of its streams, which nats-server does every two to three minutes.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path

from malha.api.common.v1.principal_pb2 import Principal
from malha.run.nats_journal import connect, ensure_streams
from malha.testing.grep import files_with, traces
from malha.testing.nats_cluster import NODES, running_cluster
from malha.testing.planner import asks, says
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.shop import TENANT

_RUNS = 12
_SECONDS = 600.0
"""What takes longer is told as it stands."""
_LOOK = 1.0


async def main(folder: Path) -> dict[str, object]:
    """Seconds from the last erasure, and how many files held a byte of the runs when."""
    with running_cluster(folder) as cluster:
        connection = await connect(cluster.url, name="bench", timeout=20)
        await ensure_streams(connection, replicas=NODES, max_bytes=256 << 20)
        async with PlannerOnNats(connection, folder / "planner") as planner:
            planner.model.script = [asks(("add", {"a": 1, "b": 2})), says("three")]
            planner.chores = [planner.eraser()]
            planner.start_follower()
            planner.start_worker()
            items = [await planner.accept() for _ in range(_RUNS)]
            await planner.until_finished(_RUNS)
            needles: set[bytes] = set()
            for item in items:
                needles |= traces(await planner.journal.load(item.tenant, item.run_id))
            before = len(files_with(needles, folder))
            requests = planner.erase_requests()
            for item in items:
                await requests.erase_run(Principal(tenant=TENANT, subject="bench"), item.run_id)
            began = time.monotonic()
            erased = len(found := files_with(needles, folder))
            while found and time.monotonic() - began < _SECONDS:
                await asyncio.sleep(_LOOK)
                found = files_with(needles, folder)
            seconds = time.monotonic() - began
        await connection.close()
    return {
        "runs": _RUNS,
        "files_before": before,
        "files_after_erasure": erased,
        "files_at_the_end": len(found),
        "seconds": round(seconds),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="malha-bench-") as state:
        print(json.dumps(asyncio.run(main(Path(state)))))
