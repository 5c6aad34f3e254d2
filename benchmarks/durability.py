"""What durability costs: how soon a run begins, how soon it goes on, what its journal takes.

    python -m benchmarks.durability

Prints one JSON line. The first two are measured on whole meshes by the broker's own times; the last two
in this process, the journal on NATS against one in memory around the same worker.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from nats.aio.msg import Msg

from benchmarks.processes import cpu_ms
from benchmarks.scripted_model import QUESTION, scripted_model
from malha.api.gateway.v1 import run_pb2
from malha.client import Client
from malha.run import Entry, fold
from malha.run.nats_journal import Connection, connect, ensure_streams, event_subject
from malha.stack import servers
from malha.testing.mesh import Mesh
from malha.testing.planner import ScriptedModel, asks, says
from malha.testing.planner_on_nats import PlannerOnNats
from malha.testing.records import RecordsOf, ended, started
from malha.testing.servers import RunningServer
from malha.testing.shop import TENANT, Shop

ACK_WAIT = 2.0
_RECORDS = 5000
_SECONDS = 120.0
"""What takes longer has hung, and no figure comes of it."""


async def main() -> dict[str, object]:
    """Every measurement, by its name."""
    figures: dict[str, object] = {"fold_5000_records_ms": round(fold_ms(), 1)}
    with tempfile.TemporaryDirectory(prefix="malha-bench-") as folder:
        figures["journal_cpu_ms_per_run"] = round(await journal_cpu_ms(Path(folder)), 2)
    with tempfile.TemporaryDirectory(prefix="malha-bench-") as folder:
        figures["accepted_to_first_step_p50_ms"] = round(await first_step_ms(Path(folder)), 2)
    with tempfile.TemporaryDirectory(prefix="malha-bench-") as folder:
        waits = await resume_seconds(Path(folder))
        figures["resumed"] = len(waits)
        figures["resume_p99_s"] = round(statistics.quantiles(waits, n=100)[98], 2)
        figures["ack_wait_s"] = ACK_WAIT
    return figures


def fold_ms(records: int = _RECORDS) -> float:
    """Milliseconds to fold a journal of so many records; the median of seven."""
    entries = _journal(records)
    taken = []
    for _ in range(7):
        begun = time.perf_counter()
        fold(entries)
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)


def _journal(records: int) -> list[Entry]:
    run = RecordsOf()
    epoch = 2
    written = [run.accepted(), run.claimed()]
    for step in range(1, (records - len(written)) // 2 + 1):
        key = f"{run.tenant}/{run.run_id}/{step}/{epoch}/1"
        written += [run.record(started(key), epoch=epoch), run.record(ended(key, microusd=3), epoch=epoch)]
    now = datetime.now(UTC)
    return [Entry(number, now, record, record.ByteSize()) for number, record in enumerate(written, 1)]


async def journal_cpu_ms(state: Path, runs: int = 400, in_flight: int = 16) -> float:
    """CPU of a run's journal, queue and events on NATS, server included, beyond that of one in memory."""
    server = RunningServer(servers.nats(state), state / "nats.log")
    server.start()
    try:
        connection = await connect(server.url, name="planner", echo=False)
        await ensure_streams(connection)
        watching = await connect(server.url, name="watch")
        async with PlannerOnNats(connection, state) as planner:
            planner.model = _model()
            planner.start_follower()
            planner.start_worker(concurrency=in_flight)
            await _finish(planner, watching, 50)
            before = time.process_time() * 1000 + cpu_ms(server.pid)
            await _finish(planner, watching, runs)
            on_nats = time.process_time() * 1000 + cpu_ms(server.pid) - before
        await connection.close()
        await watching.close()
    finally:
        server.stop()
    shop = Shop()
    shop.model = _model()
    items = [await shop.accept() for _ in range(runs)]
    before = time.process_time() * 1000
    worker = shop.worker()
    for first in range(0, runs, in_flight):
        await asyncio.gather(*(worker.handle(item) for item in items[first : first + in_flight]))
    in_memory = time.process_time() * 1000 - before
    return (on_nats - in_memory) / runs


def _model() -> ScriptedModel:
    model = ScriptedModel()
    model.script = [asks(("add", {"a": 40, "b": 2})), says("42")]
    return model


async def _finish(planner: PlannerOnNats, watching: Connection, runs: int) -> None:
    """Accept so many runs and wait until their ends are announced."""
    left, over = runs, asyncio.Event()

    async def ended(_: Msg) -> None:
        nonlocal left
        left -= 1
        if not left:
            over.set()

    subscription = await watching.nc.subscribe(event_subject(TENANT, "run.finished"), cb=ended)
    await watching.nc.flush()
    for _ in range(runs):
        await planner.accept()
    async with asyncio.timeout(_SECONDS):
        await over.wait()
    await subscription.unsubscribe()


async def first_step_ms(state: Path, runs: int = 200) -> float:
    """Median milliseconds from a run's acceptance to its first step, alone, by the broker's times."""
    async with scripted_model(state) as model, Mesh(state / "run", model) as mesh, mesh.client() as client:
        taken = []
        for number in range(runs + 20):
            asked = await client.ask(QUESTION, agent="bench")
            run = await client.run(asked.run_id)
            if number >= 20:
                begun = run.steps[0].start_time.ToNanoseconds() - run.create_time.ToNanoseconds()
                taken.append(begun / 1e6)
    return statistics.median(taken)


async def resume_seconds(state: Path, runs: int = 48, deaths: int = 3) -> list[float]:
    """Seconds from a planner's death to the moment each of its runs is claimed by another."""
    waits: list[float] = []
    async with scripted_model(state, latency_ms=2500) as model:
        model["MALHA_PLANNER_ACK_WAIT_SECONDS"] = str(ACK_WAIT)
        two = Mesh(state / "run", model, command=("malha.cli", "up", "--replicas", "planner=2"))
        async with two as mesh, mesh.client() as client:
            for _ in range(deaths):
                async with asyncio.timeout(_SECONDS):
                    waits += await _waits_after_a_death(mesh, client, runs)
    return waits


async def _waits_after_a_death(mesh: Mesh, client: Client, runs: int) -> list[float]:
    accepted = [await client.create_run(QUESTION, agent="bench") for _ in range(runs)]
    await asyncio.gather(*(_begun(client, run.run_id) for run in accepted))
    planner = next(pid for name, pid in mesh.pids().items() if name.startswith("planner"))
    died = time.time()
    os.kill(planner, signal.SIGKILL)
    claims = await asyncio.gather(*(_second_claim(client, run.run_id) for run in accepted))
    return [claimed - died for claimed in claims if claimed is not None]


async def _begun(client: Client, run_id: str) -> None:
    while not (await client.run(run_id)).steps:  # noqa: ASYNC110  # the stream would be a load of its own
        await asyncio.sleep(0.05)


async def _second_claim(client: Client, run_id: str) -> float | None:
    """When the run was claimed again, in seconds since 1970; None where it was not."""
    claims = []
    async for event in client.events(run_id):
        if event.HasField("claimed"):
            claims.append(event.time.ToNanoseconds() / 1e9)
    assert event.finished.status == run_pb2.RUN_STATUS_SUCCEEDED, event.finished
    return claims[1] if len(claims) > 1 else None


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main())))
