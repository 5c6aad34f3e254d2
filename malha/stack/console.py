"""The mesh's output: a line after another, and nobody waits for whoever reads them.

A reader may pause (a terminal that was stopped, a pager), go away, or have no room left (a full disk).
None of that may hold up a mesh or end it. Lines that cannot be written are left out, and their number is
told with the next one that can.
"""

import os
import queue
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

WIDEST_NAME = 11
_WAITING = 10_000  # lines
_PATIENCE_SECONDS = 1.0


def to_stdout(data: bytes) -> None:
    """Write all of it, past Python's buffer, which would keep what fails for later. OSError."""
    if sys.stdout is None:  # closed when we started: its number may be another file's by now
        return
    while data:
        data = data[os.write(sys.stdout.fileno(), data) :]


class Console:
    """``with Console() as console: console.say(name, line)``; what was said is written before the block ends.

    Args:
        write: takes whole lines; it may block, or raise OSError.
        waiting: lines at most that are kept for a reader who is slower than they come.
        patience: seconds at most that the end of the block waits for the reader.
    """

    def __init__(
        self,
        write: Callable[[bytes], None] = to_stdout,
        *,
        waiting: int = _WAITING,
        patience: float = _PATIENCE_SECONDS,
    ) -> None:
        self._write = write
        self._patience = patience
        self._lines: queue.Queue[str | None] = queue.Queue(waiting)
        self._refused = 0  # counted by who says, alone
        self._failed = 0  # counted by the thread, alone
        self._thread = threading.Thread(target=self._write_forever, name="console", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._lines.put(None, timeout=self._patience)
        except queue.Full:
            return  # the thread dies with the process
        self._thread.join(self._patience)

    def say(self, name: str, line: str) -> None:
        """One line, after the name of who says it."""
        try:
            self._lines.put_nowait(_line(name, line))
        except queue.Full:
            self._refused += 1

    def _write_forever(self) -> None:
        told = 0
        while True:
            line = self._lines.get()
            missing = self._refused + self._failed - told
            gap = _line("malha", f"{missing} lines were left out") if missing else ""
            try:
                if text := gap + (line or ""):
                    self._write(text.encode(errors="replace"))
                told += missing
            except OSError:
                self._failed += line is not None
            if line is None:
                return


def _line(name: str, line: str) -> str:
    return f"{name:<{WIDEST_NAME}} | {line}\n"
