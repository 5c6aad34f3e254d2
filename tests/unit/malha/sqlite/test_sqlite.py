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


class Held:
    """Work that keeps the writer until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, _connection: sqlite3.Connection) -> None:
        self.begun.set()
        self.go.wait(5)


@pytest.fixture
async def narrow(
    tmp_path: Path, migrations: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    """A database that takes in two writes at a time."""
    monkeypatch.setattr("malha.sqlite._WAITING", 2)
    opened = await Database.open(tmp_path / "x.db", migrations, durable=True)
    yield opened
    await opened.close()


async def test_callers_who_go_away_do_not_let_the_queue_grow(narrow: Database) -> None:
    held = Held()
    first = asyncio.create_task(narrow.write(held))
    await asyncio.to_thread(held.begun.wait, 5)
    for n in range(10):
        task = asyncio.create_task(narrow.write(put(n)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    held.go.set()
    await first
    await narrow.write(put(100))
    assert await narrow.read(count) == 2  # the first of the ten was taken in


async def test_who_waits_for_a_place_while_it_closes_is_refused(narrow: Database) -> None:
    held = Held()
    first = asyncio.create_task(narrow.write(held))
    await asyncio.to_thread(held.begun.wait, 5)
    rest = [asyncio.create_task(narrow.write(put(n))) for n in range(5)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(narrow.close())
    await asyncio.sleep(0)
    held.go.set()
    async with asyncio.timeout(5):
        await asyncio.gather(first, closing)
        results = await asyncio.gather(*rest, return_exceptions=True)
    assert [type(result) for result in results] == [int] + [RuntimeError] * 4


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


async def test_a_transaction_that_can_be_neither_ended_nor_undone_costs_no_later_write(
    database: Database,
) -> None:
    def neither(action: int, what: str | None, *_: str | None) -> int:
        ending = action == sqlite3.SQLITE_TRANSACTION and what in ("COMMIT", "ROLLBACK")
        return sqlite3.SQLITE_DENY if ending else sqlite3.SQLITE_OK

    def sick(connection: sqlite3.Connection) -> None:
        put(1)(connection)
        connection.set_authorizer(neither)

    with pytest.raises(sqlite3.DatabaseError):
        await database.write(sick)
    async with asyncio.timeout(5):
        await database.write(put(2))
    assert await database.read(lambda c: [row["a"] for row in c.execute("SELECT a FROM t")]) == [2]


async def test_a_file_that_cannot_be_opened_for_a_while_is_told_and_tried_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(_database: Database) -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    with monkeypatch.context() as patched:
        patched.setattr(Database, "_connect", cannot)
        with pytest.raises(sqlite3.OperationalError):
            async with asyncio.timeout(5):
                await database.write(put(1))
    assert await database.write(put(2)) == 1
