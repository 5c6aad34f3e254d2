"""What is still on a disk: files searched for bytes, as a stranger with access to it would."""

from __future__ import annotations

from collections.abc import Iterable
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
    """Files under the folders that hold any of the needles, and how many of them."""
    wanted = list(needles)
    found: dict[str, int] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                content = path.read_bytes()
                if count := sum(needle in content for needle in wanted):
                    found[str(path.relative_to(folder))] = count
    return found
