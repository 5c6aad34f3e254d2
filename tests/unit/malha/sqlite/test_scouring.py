"""Deleted rows leave no byte in the file or its log, and nobody else's rows are lost over it."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from malha.scouring import scour
from malha.sqlite import Database

_SCHEMA = "CREATE TABLE runs (id TEXT PRIMARY KEY, place INTEGER, body BLOB) WITHOUT ROWID;"
_VISIT = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(connection.execute("SELECT count(*) FROM runs").fetchone()[0])
connection.close()
"""
_UPSERT = "INSERT INTO runs VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    (migrations / "0001_initial.sql").write_text(_SCHEMA + "CREATE INDEX runs_place ON runs (place);")
    opened = await Database.open(tmp_path / "a.db", migrations, durable=False)
    yield opened
    await opened.close()


def stored(path: Path) -> bytes:
    """What a stranger reads, in another process as they would."""
    return b"".join(one.read_bytes() for one in path.parent.glob(f"{path.name}*"))


async def write(database: Database, *statements: tuple[str, tuple[object, ...]]) -> None:
    def work(connection: sqlite3.Connection) -> None:
        for statement, values in statements:
            connection.execute(statement, values)

    await database.write(work)


async def test_of_thousands_of_rows_that_grew_and_moved_the_deleted_leave_no_byte(
    database: Database,
) -> None:
    chance = random.Random(3)  # noqa: S311  # rows to move about, not secrets
    ids = [f"{chance.getrandbits(128):032x}" for _ in range(4000)]
    for start in range(0, 4000, 500):
        for length in (60, 120, 180):
            group = [
                (_UPSERT, (one, chance.getrandbits(40), one.encode() + chance.randbytes(length)))
                for one in ids[start : start + 500]
            ]
            await write(database, *group)
    gone = chance.sample(ids, 1500)
    await write(database, *[("DELETE FROM runs WHERE id = ?", (one,)) for one in gone])
    await scour(database.path, [one.encode() for one in gone])
    left = await asyncio.to_thread(stored, database.path)
    assert not [one for one in gone if one.encode() in left]
    kept = set(ids) - set(gone)
    found = await database.read(lambda connection: connection.execute("SELECT id FROM runs").fetchall())
    assert {row["id"] for row in found} == kept


async def test_after_a_search_another_process_may_open_the_file_and_nothing_written_later_is_lost(
    database: Database,
) -> None:
    """Had the search closed the file in this process, our locks would be gone, and with them our log."""
    await write(database, (_UPSERT, ("first", 1, b"1")))
    await scour(database.path, [b"not there"])
    await write(database, (_UPSERT, ("second", 2, b"2")))
    assert await visit(database.path) == 2
    await write(database, (_UPSERT, ("third", 3, b"3")))
    assert await visit(database.path) == 3


async def visit(path: Path) -> int:
    """How many rows another process finds, which opens the file and closes it."""
    visitor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _VISIT, str(path)), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await visitor.communicate()
    return int(said)


async def test_without_overwriting_or_cutting_the_log_deleted_rows_stay_readable(tmp_path: Path) -> None:
    """What this is for."""
    path = tmp_path / "plain.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA secure_delete=OFF")
        connection.execute("CREATE TABLE runs (id TEXT)")
        connection.execute("INSERT INTO runs VALUES ('remember-me')")
        connection.execute("DELETE FROM runs")
        assert b"remember-me" in stored(path)
