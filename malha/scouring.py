"""That what was deleted from an SQLite file is gone from the disk, and not merely from the tables.

Deleted content is overwritten (``secure_delete``), with two gaps. Older images of a page stand in the
write-ahead log until that is cut off. And where SQLite moved cells between pages, a copy may be left in
the free space of a page that nobody looks at: about one row in a thousand, seen with rows that grow. So
the file is searched for what must not be there, and written anew where it is found.
"""

from __future__ import annotations

import asyncio
import mmap
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

_SECONDS = 10.0
_PAUSE = 0.02


async def scour(path: Path, needles: Sequence[bytes] = ()) -> bool:
    """Leave no byte of what was deleted and committed in the file and in its log.

    Args:
        needles: what must not be found, such as ids of deleted rows.

    Returns:
        Whether the file had to be written anew, which takes as long as it is large.

    Raises:
        sqlite3.Error: others kept the file locked for 10 s.
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
    with path.open("rb") as file:
        if not needles or not path.stat().st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return any(content.find(needle) >= 0 for needle in needles)
