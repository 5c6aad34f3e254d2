"""A mesh's stores filled as if it had archived so many runs: their rows, their journals, what stays in NATS.

Copies of one real run under ids of chance, by the real schema and through the real server; the mesh is
down meanwhile. All of it is one tenant's, which is the worst case for lists.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from base64 import b32encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from nats.aio.msg import Msg

from malha.api.planner.v1.planner_service_pb2 import RunRow
from malha.api.run.v1.record_pb2 import Archived, JournalEvent, Record
from malha.run import subject
from malha.run.nats_journal import EVENTS, RUNS, connect, event_subject
from malha.stack import servers
from malha.stack.accounts import accounts
from malha.stack.secrets import Secrets
from malha.testing.servers import RunningServer

TENANT = "dev"
_STATUSES = ("SUCCEEDED",) * 97 + ("FAILED", "CANCELLED", "FAILED")
_TABLE = """
INSERT INTO runs (tenant, run_id, last_sequence, accepted_sequence, updated_us, work_class, status, agent,
                  session_id, row, due_us, archived)
VALUES (?, ?, ?, ?, ?, 'interactive', ?, ?, ?, ?, NULL, 1)
"""
_ARCHIVE = "INSERT INTO archived (tenant, run_id, last_sequence, journal) VALUES (?, ?, ?, ?)"
_UNDER_WAY = 4096


async def fill(state: Path, runs: int) -> None:
    """Fill the stores of the stopped mesh in ``state``; it must have archived one run at least."""
    ids = [b32encode(os.urandom(33)).decode().lower()[:52] for _ in range(runs)]
    first = await _fill_stream(state, ids)
    await asyncio.to_thread(_fill_databases, state / "planner", ids, first)


async def _fill_stream(state: Path, ids: list[str]) -> int:
    """What stays of each run in RUNS, and one event that says all was announced; the first sequence."""
    secrets = Secrets(state / "secrets")
    server = RunningServer(servers.nats(state, extra=accounts(secrets)), state / "filling.log")
    server.start(timeout=60)
    try:
        connection = await connect(
            server.url, name="planner", user="planner", password=secrets.nats_password("planner")
        )
        nc = connection.nc
        before = (await connection.js.stream_info(RUNS)).state.last_seq
        room = asyncio.Semaphore(_UNDER_WAY)

        async def stored(_: Msg) -> None:
            room.release()

        inbox = nc.new_inbox()
        await nc.subscribe(inbox, cb=stored)
        event = JournalEvent(archived=Archived(sequence=1))
        for run_id in ids:
            await room.acquire()
            record = Record(tenant=TENANT, run_id=run_id, events=[event]).SerializeToString()
            await nc.publish(subject(TENANT, run_id), record, reply=inbox, headers={"Malha-Nonce": "0" * 16})
        for _ in range(_UNDER_WAY):
            await room.acquire()
        last = (await connection.js.stream_info(RUNS)).state.last_seq
        if last != before + len(ids):
            raise AssertionError(f"{last - before} records were stored")
        headers = {"Malha-Position": f"{last}.0"}
        await connection.js.publish(
            event_subject(TENANT, "run.archived"), b"{}", headers=headers, stream=EVENTS
        )
        await connection.close()
    finally:
        server.stop()
    return before + 1


def _fill_databases(folder: Path, ids: list[str], first: int) -> None:
    with closing(sqlite3.connect(folder / "archive.db")) as archive:
        (journal,) = archive.execute("SELECT journal FROM archived LIMIT 1").fetchone()
        archive.executemany(
            _ARCHIVE, ((TENANT, run_id, first + place, journal) for place, run_id in enumerate(ids))
        )
        archive.commit()
    with closing(sqlite3.connect(folder / "planner.db")) as planner:
        (row,) = planner.execute("SELECT row FROM runs LIMIT 1").fetchone()
        planner.executemany(_TABLE, _rows(RunRow.FromString(row), ids, first))
        planner.execute("UPDATE followed SET sequence = ?", (first + len(ids),))
        planner.commit()


def _rows(row: RunRow, ids: list[str], first: int) -> Iterator[tuple[object, ...]]:
    for place, run_id in enumerate(ids):
        row.run_id, row.status = run_id, _STATUSES[place % len(_STATUSES)]
        session = f"session-{place % 1000}" if place % 10 == 0 else ""
        row.session_id = session
        sequence = first + place
        yield (
            TENANT, run_id, sequence, sequence, sequence, row.status, row.agent, session,
            row.SerializeToString(),
        )  # fmt: skip
