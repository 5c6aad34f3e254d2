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

import yaml

from benchmarks.audit import audit
from benchmarks.processes import cpu_ms, pss_mb
from benchmarks.sidecars import Sidecar
from malha.api.gateway.v1 import run_pb2
from malha.client import Client
from malha.testing.mesh import Mesh

MODEL = "scripted-1"
AGENT = {
    "name": "bench",
    "version": "1",
    "description": "Two model calls and one tool call.",
    "prompt": "Answer with the calculator.",
    "tools": ["calculator"],
    "model": {"provider": "openai", "name": MODEL},
    "limits": {"max_output_tokens": 256},
}
SCRIPT = {
    "rules": [
        {"turn": 0, "tool_calls": [{"name": "calculator", "arguments": {"expression": "40 * 2.49"}}]},
        {"text": "Forty hours cost 99.60 dollars."},
    ]
}
PRICES = {
    "source": "the benchmark",
    "prices": [{"provider": "openai", "model": MODEL, "input": "0.15", "output": "0.60"}],
}
QUESTION = "What do 40 hours at 2.49 dollars cost?"


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
        agents = state / "agents"
        agents.mkdir()
        (agents / "default.yaml").write_text(yaml.safe_dump({**AGENT, "name": "default"}))
        (agents / "bench.yaml").write_text(yaml.safe_dump(AGENT))
        (state / "script.json").write_text(json.dumps(SCRIPT))
        (state / "prices.yaml").write_text(yaml.safe_dump(PRICES))
        async with (
            Sidecar("malha.testing.model_server", state, "--script", str(state / "script.json")) as models,
            Sidecar("malha.testing.span_sink", state, "--summary-file", str(state / "spans.json")) as sink,
        ):
            environment = {
                "MALHA_PLANNER_AGENTS_DIR": str(agents),
                "MALHA_PLANNER_OPENAI_BASE_URL": f"http://127.0.0.1:{models.port}/v1",
                "MALHA_PLANNER_OPENAI_MODELS": MODEL,
                "MALHA_COST_PRICE_FILE": str(state / "prices.yaml"),
                "MALHA_OTLP_ENDPOINT": f"127.0.0.1:{sink.port}",
            }
            async with Mesh(state / "run", environment) as mesh:
                figures, done = await phases(mesh, runs)
            await sink.stop()  # every span is flushed once the services have ended
            spans = json.loads((state / "spans.json").read_text())
            figures.update(audit(mesh.state / "mesh", done, spans))
    return figures


async def phases(mesh: Mesh, runs: int) -> tuple[dict[str, object], list[run_pb2.Run]]:
    """Idle, warm, then 1, 16 and 64 in flight, then on to ``runs`` runs in all."""
    counted = {name: pid for name, pid in mesh.pids().items() if name != "supervisor"}
    figures: dict[str, object] = {"ready_s": round(mesh.ready_seconds, 2)}
    async with mesh.client() as client:
        figures["pss_mb_idle"] = round(pss_mb(counted.values()), 1)
        done = (await load(client, 200, 16)).runs  # warm: caches, tokens, compiled patterns
        one = await load(client, min(300, runs), 1)
        sixteen = await load(client, min(500, runs), 16)
        done += one.runs + sixteen.runs
        pss_at_1000 = round(pss_mb(counted.values()), 1)
        before = {name: cpu_ms(pid) for name, pid in counted.items()}
        at_64 = await load(client, max(100, runs - len(done)), 64)
        spent = {name: (cpu_ms(pid) - before[name]) / len(at_64.runs) for name, pid in counted.items()}
        done += at_64.runs
        after = round(pss_mb(counted.values()), 1)
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
        "pss_mb_1000": pss_at_1000,
        "pss_mb_after": after,
    }
    return figures, done


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5000, help="runs in all (default 5000)")
    print(json.dumps(asyncio.run(main(parser.parse_args().runs))))
