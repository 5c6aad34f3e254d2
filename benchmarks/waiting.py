"""What runs cost that wait: park many, look at the mesh, start it anew, decide all, see all of them end.

Each run asks the offline model, which wants the calculator; the agent's file makes that a call of high
risk, so the run parks until somebody approves. Memory is the proportional set size over all processes.
Prints one JSON line.

    python -m benchmarks.waiting [--runs 10000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeVar

import yaml

from benchmarks.processes import cpu_ms, pss_mb
from malha.api.gateway.v1 import run_pb2
from malha.api.run.v1.record_pb2 import Decision
from malha.client import Client
from malha.testing.mesh import Mesh

G = TypeVar("G")
T = TypeVar("T")

AGENT = {
    "name": "default",
    "version": "1",
    "description": "Asks before it calculates.",
    "prompt": "Answer with the calculator.",
    "tools": ["calculator"],
    "limits": {"max_wall_time_seconds": 3600},
    "approvals": {"risk": {"calculator": "high"}},
}
QUESTION = "What is 17 * 23?"
WAITING, SUCCEEDED = run_pb2.RUN_STATUS_WAITING, run_pb2.RUN_STATUS_SUCCEEDED
IN_FLIGHT = 32
WATCHED_SECONDS = 10.0
WARM = 300


async def main(runs: int) -> dict[str, object]:
    """Run every phase; the figures by their names."""
    with tempfile.TemporaryDirectory(prefix="malha-bench-") as folder:
        state = Path(folder)
        agents = state / "agents"
        agents.mkdir()
        (agents / "default.yaml").write_text(yaml.safe_dump(AGENT))
        environment = {"MALHA_PLANNER_AGENTS_DIR": str(agents)}
        async with Mesh(state / "run", environment) as mesh, mesh.client() as client:
            await end(client, await park(client, WARM))
            before = await look(mesh)
            started = time.perf_counter()
            waiting = await park(client, runs)
            parking = time.perf_counter() - started
            after = await look(mesh)
        async with Mesh(state / "run", environment) as mesh, mesh.client() as client:
            anew = await look(mesh)
            started = time.perf_counter()
            ended = await end(client, waiting)
            deciding = time.perf_counter() - started
    return {
        "runs": runs,
        "parked_per_s": round(runs / parking, 1),
        **{f"{name}_before": figure for name, figure in before.items()},
        **{f"{name}_parked": figure for name, figure in after.items()},
        "restart_s": round(mesh.ready_seconds, 2),
        **{f"{name}_anew": figure for name, figure in anew.items()},
        "decided_per_s": round(runs / deciding, 1),
        "ended": ended,
    }


async def park(client: Client, runs: int) -> list[str]:
    """Start runs; their ids, once all of them wait."""

    async def one(_: int) -> str:
        run = await client.ask(QUESTION)
        if run.status != WAITING:
            raise AssertionError(f"run {run.run_id} does not wait: {run.error.reason} {run.error.message}")
        return run.run_id

    return await at_once(range(runs), one)


async def end(client: Client, run_ids: list[str]) -> int:
    """Approve what the runs wait for; how many of them succeeded, once none is open."""

    async def approve(run_id: str) -> None:
        (approval,) = (await client.run(run_id)).approvals
        await client.decide(run_id, approval.hash, Decision.DECISION_APPROVE)

    async def ended(run_id: str) -> bool:
        async for event in client.events(run_id):
            if event.WhichOneof("event") == "finished":
                return event.finished.status == SUCCEEDED
        return False

    await at_once(run_ids, approve)
    return sum(await at_once(run_ids, ended))


async def look(mesh: Mesh) -> dict[str, object]:
    """Memory, file descriptors (connections are among them), and CPU while nothing happens."""
    pids = {name: pid for name, pid in mesh.pids().items() if name != "supervisor"}
    before = {name: cpu_ms(pid) for name, pid in pids.items()}
    await asyncio.sleep(WATCHED_SECONDS)
    spent = {name: cpu_ms(pid) - before[name] for name, pid in pids.items()}
    return {
        "pss_mb": round(pss_mb(pids.values()), 1),
        "pss_mb_planner": round(pss_mb([pids["planner"]]), 1),
        "pss_mb_gateway": round(pss_mb([pids["gateway"]]), 1),
        "pss_mb_nats": round(pss_mb([pids["nats"]]), 1),
        "descriptors": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids.values()),
        "cpu_ms_in_10_s": round(sum(spent.values())),
        "cpu_ms_in_10_s_planner": round(spent["planner"]),
    }


async def at_once(given: Iterable[G], work: Callable[[G], Awaitable[T]]) -> list[T]:
    """The results of the work on everything given, ``IN_FLIGHT`` at a time."""
    left = iter(given)
    results: list[T] = []

    async def worker() -> None:
        for one in left:
            result = await work(one)
            results.append(result)

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(worker())
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="runs that wait (default 10000)")
    print(json.dumps(asyncio.run(main(parser.parse_args().runs))))
