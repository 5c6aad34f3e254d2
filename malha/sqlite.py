"""SQLite behind one writer thread that commits in groups.

A commit with ``synchronous=FULL`` costs an fsync, whatever it holds. So writes that wait together are
put into one transaction, each in a savepoint of its own: a failing one rolls back alone, and each
caller hears of its result only after the common COMMIT. Readers use a connection of their own (WAL)
and never wait for the writer.
"""

from __future__ import annotations

import asyncio
import fcntl
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

_Item = tuple[Work[Any], bool, "asyncio.Future[Any]"]
_Settled = tuple["asyncio.Future[Any]", Any, BaseException | None]

_GROUP = 256
_WAITING = 4096
_STEPS = 20_000  # of SQLite's, some milliseconds: how often a reading looks whether somebody waits for it
_CACHE_KIB = 512  # a connection's own; the kernel holds the file for all of them


class Database:
    """One SQLite file. Open with :meth:`open`, close with :meth:`close`."""

    def __init__(self, path: Path, *, durable: bool) -> None:
        self.path = path
        self._durable = durable
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(_WAITING)
        self._loop = asyncio.get_running_loop()
        self._writer = threading.Thread(target=self._write_forever, name=f"{path.stem}-writer", daemon=True)
        self._readers = ThreadPoolExecutor(2, thread_name_prefix=f"{path.stem}-reader")
        self._local = threading.local()
        self._closing = False

    @classmethod
    async def open(cls, path: Path, migrations: Path, *, durable: bool) -> Database:
        """Open or create the file and bring its schema up to date.

        Args:
            path: the database file; its folder is created.
            migrations: folder of ``NNNN_name.sql`` files, applied once each, in order.
            durable: True makes every acknowledged write survive a power cut (``synchronous=FULL``);
                False lets the last moments be lost with the power, never with the process.
        """
        database = cls(path, durable=durable)
        await asyncio.to_thread(database._migrate, migrations)
        database._writer.start()
        return database

    async def write(self, work: Work[T], *, durable: bool | None = None) -> T:
        """Run ``work`` in the writer's transaction; its result once that is committed.

        ``durable=False`` takes a write out of a database's promise to survive a power cut, where losing
        it does no harm; together with others it is kept as they are.

        An exception from ``work`` undoes what it wrote and is raised here. Cancelling the caller
        does not cancel the write: like any lost answer, it must be safe to ask again.
        """
        await self._room.acquire()  # until it is settled: a caller who goes away leaves the work behind
        if self._closing:
            self._room.release()
            raise RuntimeError("the database is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put((work, self._durable if durable is None else durable, future))
        return await future

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` on a reader's connection: what was committed, never what is under way.

        Cancelling the caller ends it: there are two readers, and others wait for them.
        """
        left = threading.Event()

        def reading() -> T:
            connection = self._reader()
            connection.set_progress_handler(left.is_set, _STEPS)
            return work(connection)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, reading)
        except asyncio.CancelledError:
            left.set()
            raise

    async def close(self) -> None:
        """Finish what was asked for, then close."""
        self._closing = True
        self._queue.put(None)
        await asyncio.to_thread(self._writer.join)
        self._readers.shutdown(wait=True)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if self._durable else 'NORMAL'}")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        connection.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten; see malha.scouring
        connection.row_factory = sqlite3.Row
        return connection

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            connection.execute("PRAGMA query_only=ON")
        return connection

    def _migrate(self, migrations: Path) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".migrating").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)  # replicas start together, and each script is for one of them
            self._apply(migrations)

    def _apply(self, migrations: Path) -> None:
        connection = self._connect()
        try:
            done = int(connection.execute("PRAGMA user_version").fetchone()[0])
            for script in sorted(migrations.glob("[0-9]*.sql")):
                number = int(script.name.split("_", 1)[0])
                if number > done:
                    # one transaction a file: a start killed half-way begins it anew
                    connection.executescript(
                        f"BEGIN;{script.read_text(encoding='utf-8')};PRAGMA user_version={number};COMMIT;"
                    )
        finally:
            connection.close()

    def _write_forever(self) -> None:
        connection: sqlite3.Connection | None = None
        while True:
            item = self._queue.get()
            if item is None:
                break
            group = [item]
            closing = False
            while len(group) < _GROUP:
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                if item is None:
                    closing = True
                    break
                group.append(item)
            connection = self._commit(connection, group)
            if closing:
                break
        if connection is not None:
            connection.close()

    def _commit(self, connection: sqlite3.Connection | None, group: list[_Item]) -> sqlite3.Connection | None:
        """Store a group and tell its callers. Answers the connection to go on with, if it is fit for that."""
        settled: list[_Settled] = []
        try:
            connection = connection or self._connect()
            synced = any(durable for _, durable, _ in group)
            connection.execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            for work, _, future in group:
                connection.execute("SAVEPOINT work")
                try:
                    settled.append((future, work(connection), None))
                except Exception as error:
                    if not connection.in_transaction:
                        raise  # a full disk: what everybody wrote is undone already
                    connection.execute("ROLLBACK TO work")
                    settled.append((future, None, error))
                connection.execute("RELEASE work")
            connection.execute("COMMIT")
        except Exception as error:
            # The transaction itself failed (full disk, locked file): nobody's work was stored.
            settled = [(future, None, error) for _, _, future in group]
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()  # this undoes it even where the disk is so sick that ROLLBACK fails
                connection = None
        # the loop is woken once a group, not once a caller
        self._loop.call_soon_threadsafe(self._tell, settled)
        return connection

    def _tell(self, settled: list[_Settled]) -> None:
        for future, value, failure in settled:
            self._room.release()
            if future.done():
                continue  # the caller went away; its work stands
            if failure is None:
                future.set_result(value)
            else:
                future.set_exception(failure)
