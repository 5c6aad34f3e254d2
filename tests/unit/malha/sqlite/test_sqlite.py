"""What every store of the mesh relies on."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from malha.sqlite import Database


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_initial.sql").write_text("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT);")
    return folder


@pytest.fixture
async def database(tmp_path: Path, migrations: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "x.db", migrations, durable=True)
    yield opened
    await opened.close()


def put(value: int) -> Callable[[sqlite3.Connection], int]:
    return lambda c: c.execute("INSERT INTO t (a) VALUES (?)", (value,)).rowcount


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM t").fetchone()[0])


async def test_a_write_is_visible_to_readers_once_it_returned(database: Database) -> None:
    await database.write(put(1))
    assert await database.read(count) == 1


async def test_writes_that_wait_together_share_one_commit(database: Database) -> None:
    begun, go = threading.Event(), threading.Event()

    def hold(connection: sqlite3.Connection) -> None:
        begun.set()
        go.wait(5)

    commits = 0

    def counting(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(see)

    def see(statement: str) -> None:
        nonlocal commits
        commits += statement == "COMMIT"

    await database.write(counting)
    first = asyncio.create_task(database.write(hold))
    await asyncio.to_thread(begun.wait, 5)
    before = commits
    rest = [asyncio.create_task(database.write(put(n))) for n in range(50)]
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(first, *rest)
    assert commits - before == 2
    assert await database.read(count) == 50


async def test_a_write_that_fails_undoes_itself_and_nobody_else(database: Database) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t (a) VALUES (100)")
        raise ValueError("no")

    results = await asyncio.gather(
        database.write(put(1)), database.write(half), database.write(put(2)), return_exceptions=True
    )
    assert [type(r) for r in results] == [int, ValueError, int]
    assert await database.read(count) == 2


async def test_a_caller_that_went_away_does_not_undo_its_write(database: Database) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        begun.set()
        go.wait(5)
        connection.execute("INSERT INTO t (a) VALUES (7)")

    task = asyncio.create_task(database.write(slow))
    await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    go.set()
    await asyncio.gather(task, return_exceptions=True)
    await database.write(put(8))
    assert await database.read(count) == 2


async def test_readings_whose_callers_went_away_end_and_others_are_read(database: Database) -> None:
    begun = threading.Semaphore(0)

    def endless(connection: sqlite3.Connection) -> None:
        begun.release()
        connection.execute(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
        )

    readings = [asyncio.create_task(database.read(endless)) for _ in range(2)]
    for _ in readings:
        await asyncio.to_thread(begun.acquire)
    for reading in readings:
        reading.cancel()
    async with asyncio.timeout(5):
        assert await database.read(count) == 0


async def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError):
        await database.read(put(1))


async def test_migrations_are_applied_once_and_in_order(tmp_path: Path, migrations: Path) -> None:
    first = await Database.open(tmp_path / "y.db", migrations, durable=False)
    await first.write(put(1))
    await first.close()
    (migrations / "0002_more.sql").write_text("ALTER TABLE t ADD COLUMN c TEXT;")
    second = await Database.open(tmp_path / "y.db", migrations, durable=False)
    assert await second.read(count) == 1
    assert await second.read(lambda c: len(c.execute("SELECT * FROM t").fetchone())) == 3
    await second.close()


async def test_a_closed_database_refuses_writes(tmp_path: Path, migrations: Path) -> None:
    closed = await Database.open(tmp_path / "z.db", migrations, durable=False)
    await closed.close()
    with pytest.raises(RuntimeError):
        await closed.write(put(1))


async def test_a_full_disk_is_told_as_such_to_all_who_share_the_commit_and_nothing_is_stored(
    database: Database,
) -> None:
    def full(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

    def large(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t (a, b) VALUES (2, ?)", ("x" * 100_000,))

    await database.write(full)
    results = await asyncio.gather(
        database.write(put(1)), database.write(large), database.write(put(3)), return_exceptions=True
    )
    assert [str(result) for result in results] == ["database or disk is full"] * 3
    assert await database.read(count) == 0
    await database.write(put(1))
    assert await database.read(count) == 1
