"""What a mesh kept, read where it is kept: journals, events, ledger, effect records, appended lines."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import nats
import nats.errors
from nats.aio.client import Client
from nats.errors import NoRespondersError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import ServiceUnavailableError

from malha.run import Entry
from malha.run.nats_journal import Connection, NatsJournal, connect
from malha.stack.secrets import TENANT, Secrets
from malha.testing.mesh import Mesh

_QUIET_SECONDS = 20.0
_PATIENCE = 30.0
_AGAIN = 0.5
_FINISHED = "malha.run.finished"


class LedgerLine(NamedTuple):
    """One entry of the ledger, as far as it is checked."""

    run_id: str
    key: str
    stage: int
    kind: str
    reserved: int
    spent: int
    day: str


@dataclass
class Kept:
    """All of it, by run."""

    journals: dict[str, list[Entry]] = field(default_factory=dict)
    events: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    """(position, type) in the order of the stream."""
    order: list[str] = field(default_factory=list)
    """Positions of all events, in the order of the stream."""
    ledger: dict[str, list[LedgerLine]] = field(default_factory=lambda: defaultdict(list))
    balances: dict[str, tuple[int, int]] = field(default_factory=dict)
    """The tenant's (spent, reserved) by day."""
    done: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Finished EFFECT_ONCE records by (run, step)."""
    lines: Counter[str] = field(default_factory=Counter)


async def read(mesh: Mesh, broker: str, runs: Mapping[str, bool], lines: Path) -> Kept:
    """Read it, once the announcements have caught up.

    Args:
        broker: URLs of NATS, with commas between.
        runs: run ids, and whether the run is over, so that its end will be announced.
    """
    kept = Kept()
    async with reader(mesh, broker) as connection:
        journal = NatsJournal(connection)
        for run_id in runs:
            kept.journals[run_id] = await journal.load(TENANT, run_id)
    ended = {run_id for run_id, over in runs.items() if over}
    for event in await _events(mesh, broker, ended):
        run_id, position = event["data"]["run_id"], event["data"]["position"]
        kept.events[run_id].append((position, event["type"]))
        kept.order.append(position)
    _read_ledger(mesh.state / "mesh" / "cost" / "cost.db", kept)
    _read_effects(mesh.state / "mesh" / "tools" / "tools.db", kept)
    _read_lines(lines, kept)
    return kept


@asynccontextmanager
async def reader(mesh: Mesh, broker: str) -> AsyncIterator[Connection]:
    """A connection that may read journals."""
    password = _secrets(mesh).nats_password("gateway")
    connection = await connect(broker, name="gateway", user="gateway", password=password, timeout=10)
    try:
        yield connection
    finally:
        await connection.close()


def _secrets(mesh: Mesh) -> Secrets:
    return Secrets(mesh.state / "mesh" / "secrets")


async def _events(mesh: Mesh, broker: str, ended: set[str]) -> list[dict[str, Any]]:
    """Every announced event, once each ended run's end is among them or nothing more comes."""
    password = _secrets(mesh).nats_password(TENANT)
    until = time.monotonic() + _PATIENCE
    while True:
        connection = await nats.connect(broker.split(","), user=TENANT, password=password)
        try:
            return await _fetched(connection, set(ended))
        except (ServiceUnavailableError, NoRespondersError):
            if time.monotonic() > until:
                raise
            await asyncio.sleep(_AGAIN)  # its nodes are choosing who leads
        finally:
            await connection.close()


async def _fetched(connection: Client, missing: set[str]) -> list[dict[str, Any]]:
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.ALL, ack_policy=AckPolicy.NONE, inactive_threshold=60
    )
    subscription = await connection.jetstream().pull_subscribe(
        f"malha.event.{TENANT}.run.>", stream="EVENTS", config=config
    )
    found: list[dict[str, Any]] = []
    while True:
        try:
            batch = await subscription.fetch(500, timeout=_QUIET_SECONDS if missing else 1.0)
        except (nats.errors.TimeoutError, TimeoutError):
            return found
        for message in batch:
            event = json.loads(message.data)
            found.append(event)
            if event["type"] == _FINISHED:
                missing.discard(event["data"]["run_id"])


def _read_ledger(path: Path, kept: Kept) -> None:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        query = "SELECT run_id, key, stage, kind, reserved, spent, day FROM entries ORDER BY key, stage"
        for row in database.execute(query):
            line = LedgerLine(*row)
            kept.ledger[line.run_id].append(line)
        query = "SELECT day, spent, reserved FROM balances WHERE scope = 3"
        kept.balances = {day: (spent, reserved) for day, spent, reserved in database.execute(query)}


def _read_effects(path: Path, kept: Kept) -> None:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        query = "SELECT key FROM effects WHERE state = 'done' AND tool = 'append_line'"
        for (key,) in database.execute(query):
            _, run_id, step, _, _ = key.split("/")
            kept.done[run_id, int(step)] += 1


def _read_lines(path: Path, kept: Kept) -> None:
    if path.exists():
        kept.lines.update(path.read_text(encoding="utf-8").splitlines())
