"""What is still on a disk: files searched for bytes, as a stranger with access to it would."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from malha.run import Entry


def traces(entries: Iterable[Entry]) -> set[bytes]:
    """What gives a run away: its id, and nonce, first and last bytes of every ciphertext."""
    found: set[bytes] = set()
    for entry in entries:
        found.add(entry.record.run_id.encode())
        for event in entry.record.events:
            sealed = event.content
            if sealed.ciphertext:
                found |= {sealed.nonce, sealed.ciphertext[:16], sealed.ciphertext[-16:]}
    return found


def files_with(needles: Iterable[bytes], *folders: Path) -> dict[str, int]:
    """Files under the folders that hold any of the needles, and how many of them.

    A file or folder that a server at work takes away meanwhile holds nothing any more.
    """
    wanted = list(needles)
    found: dict[str, int] = {}
    for folder in folders:
        for path in sorted(_files(folder)):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue
            if count := sum(needle in content for needle in wanted):
                found[str(path.relative_to(folder))] = count
    return found


def _files(folder: Path) -> Iterator[Path]:
    for at, _, names in os.walk(folder, onerror=_unless_gone):
        # no sockets and pipes, which keep nothing
        yield from (path for name in names if (path := Path(at, name)).is_file())


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
