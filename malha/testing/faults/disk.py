"""A disk small enough to fill: a tmpfs, where the machine lets us mount one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEGABYTES = 256


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """Mount it on the folder for the length of the block; None where that is not allowed."""
    folder.mkdir(parents=True, mode=0o700)
    options = f"size={_MEGABYTES}m,mode=0700"
    mount = ["mount", "-t", "tmpfs", "-o", options, "malha-faults", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0  # noqa: S603 - our own arguments
    except FileNotFoundError:
        mounted = False
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607 - our own arguments
