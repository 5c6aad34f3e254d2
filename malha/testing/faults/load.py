"""Callers: at least so many runs in flight, each followed from its acceptance to its end.

A caller does what a good client does: it repeats a refused acceptance under the same key, resumes a
cut stream where it was cut, and asks again for what it got no answer to. What it was told is kept.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import aiohttp
from google.protobuf import json_format

from malha.api.gateway.v1.run_pb2 import RunEvent
from malha.client import Client, RunText
from malha.errors import MalhaError
from malha.testing import sse

T = TypeVar("T")

AGENT = "clerk"
ANSWER = "It is written, word by word, and whoever asked for it hears it grow."
_THINKS_MS = 250
_SPEAKS = {"latency_ms": _THINKS_MS, "chunk_ms": 20}
_AGAIN = 0.2
_LOOK = 0.01
IN_FLIGHT = 16
"""Runs that are in flight at least, whenever a fault is injected."""

SCRIPT: dict[str, Any] = {
    "rules": [
        {
            "user": "^both",
            "turn": 0,
            "latency_ms": _THINKS_MS,
            "tool_calls": [
                {"name": "append_line", "arguments": {"line": "{user} left"}},
                {"name": "append_line", "arguments": {"line": "{user} right"}},
                {"name": "calculator", "arguments": {"expression": "17 + 23"}},
            ],
        },
        {
            "user": "^search",
            "turn": 0,
            "latency_ms": _THINKS_MS,
            "tool_calls": [{"name": "search_knowledge", "arguments": {"query": "{user}"}}],
        },
        {
            "user": "^search",
            "turn": 1,
            "latency_ms": _THINKS_MS,
            "tool_calls": [{"name": "append_line", "arguments": {"line": "{user}"}}],
        },
        {"user": "^search", "turn": 2, "text": ANSWER, **_SPEAKS},
        {
            "user": "^(line|leave)",
            "turn": 0,
            "latency_ms": _THINKS_MS,
            "tool_calls": [{"name": "append_line", "arguments": {"line": "{user}"}}],
        },
        {"turn": 1, "text": ANSWER, **_SPEAKS},
    ]
}
TOOLS = ["append_line", "calculator", "search_knowledge"]
_KINDS = ("line", "line", "both", "search", "leave")


@dataclass
class Called:
    """One run as its caller saw it."""

    text: str
    run_id: str
    over: str
    """How it was followed: "grpc" or "sse"."""
    events: list[RunEvent] = field(default_factory=list)
    cancelled: bool = False
    """Whether the caller asked for its end."""
    ended: bool = False
    said: RunText = field(default_factory=RunText)
    """What the caller has of the texts, from the parts it was told."""
    position: str = ""
    """Of the last event it was told, parts of texts included."""

    @property
    def lines(self) -> list[str]:
        """What its tools write, each once."""
        return [f"{self.text} left", f"{self.text} right"] if self.text.startswith("both") else [self.text]


class Load:
    """Callers of one mesh. ``runs`` holds every acknowledged run."""

    def __init__(
        self, client: Client, session: aiohttp.ClientSession, seed: int, *, callers: int = IN_FLIGHT + 2
    ) -> None:
        self.runs: list[Called] = []
        self._client = client
        self._session = session
        self._seed = seed
        self._callers = callers
        self._numbers = itertools.count(1)
        self._chance = random.Random(f"load {seed}")  # noqa: S311 - repeatable, no secret
        self._calling: set[asyncio.Task[None]] = set()
        self._open = False

    def begin(self) -> None:
        """Let the callers call, each one run after the other."""
        self._open = True
        while len(self._calling) < self._callers:
            task = asyncio.create_task(self._call_on())
            self._calling.add(task)
            task.add_done_callback(self._calling.discard)

    async def under_way(self) -> None:
        """Return once enough runs are in flight."""
        while sum(not run.ended for run in self.runs) < IN_FLIGHT:  # noqa: ASYNC110  # a count, no event
            await asyncio.sleep(_LOOK)

    async def drain(self, within: float) -> None:
        """Begin no more; return when all are over, or when the seconds have passed: then some are stuck."""
        self._open = False
        if self._calling:
            _, stuck = await asyncio.wait(set(self._calling), timeout=within)
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)

    async def _call_on(self) -> None:
        while self._open:
            number = next(self._numbers)
            text = f"{self._chance.choice(_KINDS)} {self._seed}-{number}"
            made = await insist(
                partial(
                    self._client.create_run,
                    text,
                    agent=AGENT,
                    idempotency_key=f"{self._seed}-{number}",
                    stream=number % 2 == 0,
                )
            )
            run = Called(text, made.run_id, self._chance.choice(("grpc", "sse")))
            self.runs.append(run)
            await self._follow(run)

    async def _follow(self, run: Called) -> None:
        steps = 0
        async for event in self._told(run):
            run.position = event.position
            if run.said.take(event):
                continue
            run.events.append(event)
            steps += event.HasField("step_started")
            unknown = event.HasField("waiting")
            left = run.text.startswith("leave") and steps == 1
            if (unknown or left) and not run.cancelled:
                run.cancelled = True
                with suppress(MalhaError):  # over before we could say so
                    await insist(lambda: self._client.cancel(run.run_id, "enough"))
            if event.HasField("finished"):
                await insist(lambda: self._client.run(run.run_id))
                run.ended = True
                return

    async def _told(self, run: Called) -> AsyncIterator[RunEvent]:
        """The run's events, each once, whatever happens to connections."""
        stream = self._over_grpc if run.over == "grpc" else self._over_sse
        while True:
            after = run.position
            with suppress(MalhaError, aiohttp.ClientError, TimeoutError, OSError):
                async for event in stream(run.run_id, after):
                    yield event
                    if event.HasField("finished"):
                        return
            await asyncio.sleep(_AGAIN)

    def _over_grpc(self, run_id: str, after: str) -> AsyncIterator[RunEvent]:
        return self._client.events(run_id, after=after, deltas=True)

    async def _over_sse(self, run_id: str, after: str) -> AsyncIterator[RunEvent]:
        async for event in sse.events(self._session, run_id, after=after, deltas=True):
            yield json_format.Parse(event.data, RunEvent())


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """The answer of a call that is repeated as a caller's retry would, as long as trying again may help."""
    while True:
        try:
            return await call()
        except MalhaError as error:
            if error.reason_name in ("RUN_FINISHED", "RUN_NOT_FOUND"):
                raise
        await asyncio.sleep(_AGAIN)
