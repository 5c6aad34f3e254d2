"""A mesh's stores filled as if it had archived so many runs: their rows and their journals.

Copies of one real run under ids of chance, by the real schema; the mesh is down meanwhile. All of it is
one tenant's, which is the worst case for lists. NATS keeps nothing of an archived run.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from base64 import b32encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from malha.api.planner.v1.planner_service_pb2 import RunRow

TENANT = "dev"
_STATUSES = ("SUCCEEDED",) * 97 + ("FAILED", "CANCELLED", "FAILED")
_TABLE = """
INSERT INTO runs (tenant, run_id, last_sequence, accepted_sequence, updated_us, work_class, status, agent,
                  session_id, row, due_us, archived)
VALUES (?, ?, ?, ?, ?, 'interactive', ?, ?, ?, ?, NULL, 1)
"""
_ARCHIVE = "INSERT INTO archived (tenant, run_id, last_sequence, journal) VALUES (?, ?, ?, ?)"


async def fill(state: Path, runs: int) -> None:
    """Fill the stores of the stopped mesh in ``state``; it must have archived one run at least."""
    ids = [b32encode(os.urandom(33)).decode().lower()[:52] for _ in range(runs)]
    await asyncio.to_thread(_fill_databases, state / "planner", ids, -runs)


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
