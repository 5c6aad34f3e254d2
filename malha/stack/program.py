"""A program of the mesh: what to start, and how to know that it works.

A description only. Tests start it with `malha.testing.servers`, the mesh with the
supervisor; both give it the same fate: it dies with the process that started it.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

# What every child may see of our environment: where programs and temporary files are, and the language.
PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ")


class Handover(Enum):
    """How a program's next process takes the place of the one that runs."""

    BESIDE = "it starts on the same port while the old one serves, which is then told to end"
    BY_ITSELF = "as BESIDE, and tells the old one itself; it must know its place in the row"
    AFTER = "it needs the files of the old one, and starts when that has ended"


@dataclass(frozen=True)
class Program:
    """One process: name, arguments, environment, and probes.

    `ready` says whether it serves, `alive` whether it answers at all (where that is less): what is alive but
    not ready waits for something, and is left in peace. Probes block for two seconds at most and never raise.
    """

    name: str
    argv: tuple[str, ...]
    ready: Callable[[], bool]
    alive: Callable[[], bool] | None = None
    url: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    chatter: str = ""
    """A pattern of lines that nobody needs to read."""
    broken: str = ""
    """A pattern of lines after which it lives and answers, but only a new start brings it back to work."""
    mendable: Callable[[], bool] = lambda: True
    """Whether a new start would help by now."""
    mark: Path | None = None
    """A file that it writes once it serves, removed before it starts: the port alone does not tell it from
    the process whose place it takes."""
    handing_over: Handover = Handover.BESIDE
    """How another process takes its place."""
    place: str = ""
    """The option by which a process learns how many handed over to each other before it, where it must."""

    def arguments(self, epoch: int) -> tuple[str, ...]:
        """What to start as the process that takes over from `epoch` others in a row; 0 begins one."""
        return (*self.argv, self.place, str(epoch)) if self.place and epoch else self.argv

    def serves(self) -> bool:
        """Whether the process started last is ready."""
        return (self.mark is None or self.mark.exists()) and self.ready()

    def answers(self) -> bool:
        """Whether it lives, ready or not."""
        return (self.alive or self.ready)()

    def environment(self) -> dict[str, str]:
        """The whole environment of the child: nothing of ours reaches it unnamed."""
        return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | dict(self.env)


def dies_with_parent() -> Callable[[], None]:
    """A hook for the child, between fork and exec: the kernel kills it when the forking thread ends.

    The tie is to the thread, not to the process: start programs from the main thread only. The child
    also runs as a batch process: nine programs on two cores would else interrupt each other at every
    message, and each interruption empties the caches of the other (12% of a run's CPU, measured).
    """
    parent = os.getpid()

    def hook() -> None:
        if LIBC is not None:
            with contextlib.suppress(OSError):  # not allowed everywhere, and only a matter of speed
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died before the tie was made
                os._exit(1)

    return hook


def exchange(port: int, send: bytes, *, timeout: float = 0.5) -> bytes:
    """What the loopback port answers to some bytes, its first kilobyte; empty where nobody serves."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
            if send:
                connection.sendall(send)
            return connection.recv(1024)
    except OSError:
        return b""
