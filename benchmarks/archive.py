"""Do a million archived runs slow a new one?

The mesh that ``malha up`` starts answers runs and lists, is filled with archived runs while it is down,
and answers again. Prints one JSON line: latencies before and after, and their ratios.

    python -m benchmarks.archive [--archived 1000000]
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

from benchmarks.agent_run import load
from benchmarks.filling import fill
from benchmarks.processes import cpu_ms, pss_mb
from benchmarks.scripted_model import QUESTION, scripted_model
from malha.testing.mesh import Mesh

_LISTS = {
    "list": "",
    "list_failed": "status = FAILED",
    "list_waiting": "status = WAITING",
    "list_session": 'session_id = "session-250"',
    "list_other_agent": "agent = nobody",
}


async def main(archived: int, runs: int) -> dict[str, object]:
    """Measure, fill, measure; the figures by their names."""
    with tempfile.TemporaryDirectory(prefix="malha-archive-") as folder:
        state = Path(folder)
        async with scripted_model(state) as environment:
            await _archive_one(state, environment)
            before = await _measured(state, environment, runs)
            started = time.monotonic()
            await fill(state / "run" / "mesh", archived)
            seconds = time.monotonic() - started
            after = await _measured(state, environment, runs)
            stored = {
                name: round((state / "run" / "mesh" / "planner" / name).stat().st_size / 2**20)
                for name in ("planner.db", "archive.db")
            }
    ratios = {f"{name}_ratio": round(after[name] / before[name], 2) for name in before}
    return {
        "archived": archived,
        "filled_s": round(seconds),
        "stored_mb": stored,
        "before": before,
        "after": after,
        **ratios,
    }


async def _archive_one(state: Path, environment: dict[str, str]) -> None:
    """One run in the archive, to make copies of."""
    soon = {**environment, "MALHA_PLANNER_ARCHIVE_AFTER_SECONDS": "0"}
    async with Mesh(state / "run", soon) as mesh, mesh.client() as client:
        await client.ask(QUESTION, agent="bench")
        archive = mesh.state / "mesh" / "planner" / "archive.db"
        deadline = time.monotonic() + 60
        while not _holds_one(archive):
            if time.monotonic() > deadline:
                raise AssertionError("the run is not archived:\n" + mesh.log_tail())
            await asyncio.sleep(0.1)  # another process has no event


def _holds_one(archive: Path) -> bool:
    with closing(sqlite3.connect(archive)) as connection:
        return connection.execute("SELECT 1 FROM archived").fetchone() is not None


async def _measured(state: Path, environment: dict[str, str], runs: int) -> dict[str, float]:
    async with Mesh(state / "run", environment) as mesh, mesh.client() as client:
        pids = {name: pid for name, pid in mesh.pids().items() if name != "supervisor"}
        await load(client, 200, 16)
        one = await load(client, runs, 1)
        spent = {name: cpu_ms(pid) for name, pid in pids.items()}
        many = await load(client, 4 * runs, 16)
        spent = {name: (cpu_ms(pid) - spent[name]) / len(many.runs) for name, pid in pids.items()}
        figures = {
            "ready_s": mesh.ready_seconds,
            "run_p50_ms": one.percentile(50),
            "run_p99_ms": one.percentile(99),
            "runs_per_s_c16": many.rate,
            "cpu_ms_per_run": sum(spent.values()),
            **{f"cpu_ms_of_{name}": spent[name] for name in ("nats", "planner", "gateway")},
            "nats_mb": pss_mb([pids["nats"]]),
            "planner_mb": pss_mb([pids["planner"]]),
        }
        for name, where in _LISTS.items():
            figures[f"{name}_p50_ms"] = await _p50(functools.partial(client.runs, where))
        return {name: round(figure, 2) for name, figure in figures.items()}


async def _p50(call: Callable[[], Awaitable[object]]) -> float:
    """The median of 100 calls, in ms."""
    taken = []
    for _ in range(100):
        started = time.perf_counter()
        await call()
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archived", type=int, default=1_000_000, help="archived runs (default a million)")
    parser.add_argument("--runs", type=int, default=300, help="new runs measured one by one (default 300)")
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(main(arguments.archived, arguments.runs))))
