"""That what was deleted from an SQLite file is gone from the disk, and not merely from the tables.

Deleted content is overwritten (``secure_delete``), with two gaps. Older images of a page stand in the
write-ahead log until that is cut off. And where SQLite moved cells between pages, a copy may be left in
the free space of a page that nobody looks at: about one row in a thousand, seen with rows that grow. So
the file is searched for what must not be there, and written anew where it is found.

The search is a process of its own: closing a file drops all locks that the process has on it, SQLite's
among them, and the next process to open the database would take it for unused and throw away its log.
"""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_SECONDS = 10.0
_PAUSE = 0.02
_SEARCH_SECONDS = 60.0
_SEARCH = """
import mmap, sys
needles = [bytes.fromhex(line) for line in sys.stdin.read().split()]
with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
    print(any(content.find(needle) >= 0 for needle in needles))
"""


async def scour(path: Path, needles: Sequence[bytes] = ()) -> bool:
    """Leave no byte of what was deleted and committed in the file and in its log.

    Args:
        needles: what must not be found, such as ids of deleted rows.

    Returns:
        Whether the file had to be written anew, which takes as long as it is large.

    Raises:
        sqlite3.Error: others kept the file locked for 10 s.
        subprocess.SubprocessError: the search came to nothing.
    """
    return await asyncio.to_thread(_scour, path, needles)


def _scour(path: Path, needles: Sequence[bytes]) -> bool:
    connection = sqlite3.connect(path, isolation_level=None, timeout=_SECONDS)
    try:
        connection.execute("PRAGMA secure_delete=ON")
        _cut_log(connection)
        if not _found(path, needles):
            return False
        connection.execute("VACUUM")
        _cut_log(connection)
        return True
    finally:
        connection.close()


def _cut_log(connection: sqlite3.Connection) -> None:
    deadline = time.monotonic() + _SECONDS
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        # another checkpoint is under way, for which SQLite does not wait
        if time.monotonic() > deadline:
            raise sqlite3.OperationalError("the write-ahead log is in use")
        time.sleep(_PAUSE)


def _found(path: Path, needles: Sequence[bytes]) -> bool:
    if not needles:
        return False
    search = subprocess.run(  # noqa: S603  # our own words to our own interpreter
        [sys.executable, "-I", "-S", "-c", _SEARCH, str(path)],
        input=b"\n".join(needle.hex().encode() for needle in needles),
        stdout=subprocess.PIPE,
        timeout=_SEARCH_SECONDS,
        check=True,
    )
    return search.stdout.strip() == b"True"
