"""What it costs to tell an answer word by word: CPU of a run whole, streamed, and streamed and heard.

Runs of two model calls and a tool call whose answer is 200 words that come over four seconds, sixteen in
flight, in one mesh. CPU is that of services, Envoy, NATS and Valkey. Prints one JSON line.

    python -m benchmarks.streaming [--runs 160]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

from benchmarks.processes import cpu_ms
from benchmarks.scripted_model import QUESTION, scripted_model
from malha.client import Client, RunText
from malha.testing.mesh import Mesh

_WORDS = " ".join(f"word{number}" for number in range(200))
_CHUNK_MS = 20
_IN_FLIGHT = 16
_WAYS = {"whole": (False, False), "streamed": (True, False), "heard": (True, True)}
"""Whether the model streams, and whether the run is followed with deltas."""


class Caller:
    """Asks in one of the ways that are compared, and keeps what it saw.

    Args:
        stream: whether models are asked to stream.
        deltas: whether the run is followed with deltas; else it is followed without.
    """

    def __init__(self, client: Client, *, stream: bool, deltas: bool) -> None:
        self.parts = 0
        self.first: list[float] = []
        """Seconds from the question to the first part of the answer."""
        self._client = client
        self._stream = stream
        self._deltas = deltas

    async def ask(self, runs: int) -> None:
        left = iter(range(runs))

        async def caller() -> None:
            for _ in left:
                await self._one()

        async with asyncio.TaskGroup() as group:
            for _ in range(_IN_FLIGHT):
                group.create_task(caller())

    async def _one(self) -> None:
        asked, text, answer = time.perf_counter(), RunText(), ""
        run = await self._client.create_run(QUESTION, agent="bench", stream=self._stream)
        async for event in self._client.events(run.run_id, deltas=self._deltas):
            if text.take(event):
                self.parts += 1
                if event.delta.offset == 0:
                    self.first.append(time.perf_counter() - asked)
            if event.HasField("answered"):
                answer = event.answered.text
        if answer != _WORDS or (self._deltas and text.text != answer):
            raise AssertionError("an answer is not what the model said")


async def main(runs: int) -> dict[str, object]:
    """Run every way; the figures by their names."""
    figures: dict[str, object] = {"runs": runs}
    with tempfile.TemporaryDirectory(prefix="malha-bench-") as folder:
        state = Path(folder)
        async with (
            scripted_model(state, text=_WORDS, chunk_ms=_CHUNK_MS) as environment,
            Mesh(state / "run", environment) as mesh,
            mesh.client() as client,
        ):
            counted = [pid for name, pid in mesh.pids().items() if name != "supervisor"]
            await Caller(client, stream=True, deltas=True).ask(_IN_FLIGHT)  # warm
            for name, (stream, deltas) in _WAYS.items():
                caller = Caller(client, stream=stream, deltas=deltas)
                before = sum(map(cpu_ms, counted))
                await caller.ask(runs)
                figures[f"cpu_ms_{name}"] = round((sum(map(cpu_ms, counted)) - before) / runs, 2)
            figures["parts_heard"] = round(caller.parts / runs, 1)
            figures["first_part_ms"] = round(sorted(caller.first)[len(caller.first) // 2] * 1000)
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=160, help="runs in each way (default 160)")
    print(json.dumps(asyncio.run(main(parser.parse_args().runs))))
