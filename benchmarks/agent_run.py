"""One agent run of two model calls and a tool call, through Envoy, with everything on.

The mesh is the one ``malha up`` starts. Beside it run a scripted model server at zero latency (OpenAI's
wire format over HTTP) and a counting OTLP sink (sampling 1.0); both, and this load generator, share the
machine's cores but are not counted. Prints one JSON line.

    python -m benchmarks.agent_run [--runs 5000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.audit import audit
from benchmarks.processes import cpu_ms, pss_mb
from benchmarks.scripted_model import QUESTION, scripted_model
from benchmarks.sidecars import Sidecar
from malha.api.gateway.v1 import run_pb2
from malha.client import Client
from malha.testing.mesh import Mesh


@dataclass
class Measured:
    """Latencies in ms and run ids of one phase."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    runs: list[run_pb2.Run] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, q: int) -> float:
        return statistics.quantiles(self.latencies, n=100)[q - 1]


async def load(client: Client, runs: int, in_flight: int) -> Measured:
    """``runs`` runs, ``in_flight`` at a time, each waited for by one unary call."""
    measured = Measured()
    left = iter(range(runs))

    async def caller() -> None:
        for _ in left:
            started = time.perf_counter()
            run = await client.ask(QUESTION, agent="bench")
            measured.latencies.append((time.perf_counter() - started) * 1000)
            if run.status != run_pb2.RUN_STATUS_SUCCEEDED:
                raise AssertionError(f"run {run.run_id}: {run.error.reason} {run.error.message}")
            measured.runs.append(run)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(caller())
    measured.seconds = time.perf_counter() - started
    return measured


async def main(runs: int) -> dict[str, object]:
    """Run every phase; the figures by their names."""
    with tempfile.TemporaryDirectory(prefix="malha-bench-") as folder:
        state = Path(folder)
        summary = state / "spans.json"
        async with (
            scripted_model(state) as environment,
            Sidecar("malha.testing.span_sink", state, "--summary-file", str(summary)) as sink,
        ):
            environment["MALHA_OTLP_ENDPOINT"] = f"127.0.0.1:{sink.port}"
            async with Mesh(state / "run", environment) as mesh:
                figures, done = await phases(mesh, runs)
            await sink.stop()  # every span is flushed once the services have ended
            spans = json.loads(summary.read_text())
            figures.update(audit(mesh.state / "mesh", done, spans))
    return figures


async def phases(mesh: Mesh, runs: int) -> tuple[dict[str, object], list[run_pb2.Run]]:
    """Idle, warm, then 1, 16 and 64 in flight, on to ``runs`` runs in all."""
    counted = {name: pid for name, pid in mesh.pids().items() if name != "supervisor"}
    figures: dict[str, object] = {"ready_s": round(mesh.ready_seconds, 2)}
    async with mesh.client() as client:
        figures["pss_mb_idle"] = round(pss_mb(counted.values()), 1)
        done = (await load(client, min(100, runs), 64)).runs  # warm: caches, tokens, compiled patterns
        one = await load(client, min(200, runs), 1)
        sixteen = await load(client, min(200, runs), 16)
        done += one.runs + sixteen.runs
        # Right after as many runs at once as at the end, so that memory after the first thousand and after
        # all differ by what runs leave behind.
        done += (await load(client, min(500, runs), 64)).runs
        pss_at_1000 = {name: pss_mb([pid]) for name, pid in counted.items()}
        before = {name: cpu_ms(pid) for name, pid in counted.items()}
        at_64 = await load(client, max(100, runs - len(done)), 64)
        spent = {name: (cpu_ms(pid) - before[name]) / len(at_64.runs) for name, pid in counted.items()}
        done += at_64.runs
        after = {name: pss_mb([pid]) for name, pid in counted.items()}
    figures |= {
        "runs": len(done),
        "runs_per_s_c1": round(one.rate, 1),
        "runs_per_s_c16": round(sixteen.rate, 1),
        "runs_per_s_c64": round(at_64.rate, 1),
        "p50_ms_c1": round(one.percentile(50), 2),
        "p99_ms_c1": round(one.percentile(99), 2),
        "p50_ms_c64": round(at_64.percentile(50), 1),
        "p99_ms_c64": round(at_64.percentile(99), 1),
        "cpu_ms_per_run": round(sum(spent.values()), 2),
        "cpu_ms_by_process": {name: round(ms, 2) for name, ms in spent.items()},
        "pss_mb_1000": round(sum(pss_at_1000.values()), 1),
        "pss_mb_after": round(sum(after.values()), 1),
        "pss_mb_growth_by_process": {name: round(mb - pss_at_1000[name], 1) for name, mb in after.items()},
    }
    return figures, done


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5000, help="runs in all (default 5000)")
    print(json.dumps(asyncio.run(main(parser.parse_args().runs))))
