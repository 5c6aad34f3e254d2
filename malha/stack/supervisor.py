"""Keeps programs running: starts them, tells their lines apart, starts again what ends, stops all in order.

A program that ends is started again after a pause that doubles with every failure and forgets after a
calm while. One that lives but answers nobody for long is ended, and so started again; so is one that
says of itself what only a new start mends.
"""

import asyncio
import contextlib
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Self

from malha.stack.program import Program, dies_with_parent

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
CALM_SECONDS = 30.0  # after so long without ending, a program's failures are forgotten
WATCH_SECONDS = 5.0
HUNG_SECONDS = 30.0  # long enough for any garbage collection and any busy minute
STOP_SECONDS = 25.0  # more than a service's own grace period
WRONG_SETTINGS = 2  # the exit code that no second try mends
LINE_BYTES = 256 * 1024

Say = Callable[[str, str], None]


class StartError(Exception):
    """A program does not come up; the message carries its last lines.

    Args:
        why: in one line, for whoever has no room for more.
    """

    def __init__(self, message: str, *, why: str = "") -> None:
        super().__init__(message)
        self.why = why or message


class Supervised:
    """One program, kept running from `start` to `stop`.

    Args:
        say: receives (name, line) for every line of the program, and what happens to it.
        changed: called when a process serves, the first and every one that takes its place.
    """

    def __init__(self, program: Program, say: Say, changed: Callable[[], None]) -> None:
        self.name = program.name
        self.program = program
        self._epoch = 0
        self._chatter = re.compile(program.chatter) if program.chatter else None
        self._broken = re.compile(program.broken) if program.broken else None
        self._says_broken = False
        self._say = say
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._last_lines: deque[str] = deque(maxlen=20)
        self._stopping = asyncio.Event()
        self._on_trial = False

    @property
    def pid(self) -> int:
        """The process that runs now, or ran last; 0 before the first."""
        return self._process.pid if self._process else 0

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Start it; returns before it serves. StartError where it cannot be started at all."""
        self._stopping.clear()
        self._ready.clear()
        try:
            await self._spawn()
        except OSError as error:
            why = f"{self.name} cannot be started: {error.strerror}"
            raise StartError(why) from error
        self._keeping = tasks.create_task(self._keep(), name=f"keep {self.name}")

    async def until_ready(self, deadline: float) -> None:
        """Return once it serves; StartError after `deadline` (monotonic), or where its settings are wrong."""
        assert self._keeping is not None
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait(
            (ready, self._keeping),
            timeout=deadline - time.monotonic(),
            return_when=asyncio.FIRST_COMPLETED,
        )
        ready.cancel()
        if not self._ready.is_set():
            said = "".join(f"\n  {line}" for line in self._last_lines)
            message = f"{self.name} does not come up" + (f"; it said:{said}" if said else "")
            raise StartError(
                message, why=f"it said {self._last_lines[-1]!r}" if said else "it does not come up"
            )

    def succeed(self) -> Self:
        """Its successor, not started, which has one try. This one is not started again now when it ends."""
        self._stopping.set()
        successor = type(self)(self.program, self._say, self._changed)
        successor._epoch = self._epoch + 1
        successor._on_trial = True
        return successor

    async def keep_on(self, tasks: asyncio.TaskGroup) -> None:
        """Its successor did not come up: be kept running as before; started again where it has ended."""
        self._stopping.clear()
        self._on_trial = False
        if self._keeping is None or self._keeping.done():
            self._epoch = 0  # nobody is there to take anything over from
            await self.start(tasks)

    async def until_ended(self, within: float) -> None:
        """Return once it has ended because its successor told it to; StartError where it is not told."""
        assert self._keeping is not None
        done, _ = await asyncio.wait((self._keeping,), timeout=within)
        if not done:
            raise StartError(f"{self.name} is not taken over")

    async def stop(self, *, within: float = STOP_SECONDS) -> None:
        """Ask it to end, wait `within` seconds, then insist."""
        self._stopping.set()
        if self._keeping is None or self._process is None:
            return
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
        done, _ = await asyncio.wait((self._keeping,), timeout=within)
        if not done:
            self._say(self.name, f"did not end within {within:.0f} s, killed")
            self.kill()
            await asyncio.wait((self._keeping,))

    def kill(self) -> None:
        """End it at once."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _spawn(self) -> None:
        if self.program.mark:
            self.program.mark.unlink(missing_ok=True)
        self._says_broken = False
        self._process = await asyncio.create_subprocess_exec(
            *self.program.arguments(self._epoch),
            env=self.program.environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=LINE_BYTES,
            start_new_session=True,  # Ctrl-C is ours to pass on, in order
            preexec_fn=dies_with_parent(),
        )

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        try:
            while True:
                began = time.monotonic()
                code = await self._attend()
                if self._stopping.is_set():
                    return
                if code == WRONG_SETTINGS:
                    self._say(self.name, "does not start with these settings")
                    return
                if self._on_trial and not self._ready.is_set():
                    self._say(self.name, f"ended with {code} before it served")
                    return
                if time.monotonic() - began > CALM_SECONDS:
                    pause = FIRST_PAUSE
                self._say(self.name, f"ended with {code}; starts again in {pause:.1f} s")
                pause = await self._start_again(pause)
                if self._stopping.is_set():
                    return
        finally:
            self.kill()

    async def _start_again(self, pause: float) -> float:
        """Start it after the pause, and where that fails after longer ones; the pause for the next time."""
        self._epoch = 0  # nobody is there to take anything over from
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
                    return pause
            pause = min(pause * 2, LONGEST_PAUSE)
            try:
                await self._spawn()
                return pause
            except OSError as error:
                self._say(self.name, f"cannot be started: {error.strerror}; tried again in {pause:.1f} s")

    async def _attend(self) -> int:
        """Read the process's lines and watch it until it ends; its exit code."""
        assert self._process is not None
        assert self._process.stdout is not None
        watching = asyncio.create_task(self._watch(self._process), name=f"watch {self.name}")
        try:
            await self._read(self._process.stdout)
            return await self._process.wait()
        finally:
            watching.cancel()

    async def _read(self, lines: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await lines.readline()
            except ValueError:  # longer than anyone will read
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self._last_lines.append(text)
            self._says_broken |= bool(self._broken and self._broken.search(text))
            if not (self._chatter and self._chatter.search(text)):
                self._say(self.name, text)

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        while not await asyncio.to_thread(self.program.serves):  # noqa: ASYNC110 - another process has no event to wait for
            await asyncio.sleep(0.05)
        self._ready.set()
        self._changed()
        answered = time.monotonic()
        while time.monotonic() - answered < HUNG_SECONDS:
            await asyncio.sleep(WATCH_SECONDS)
            if await asyncio.to_thread(self.program.answers):
                answered = time.monotonic()
            if self._says_broken and await asyncio.to_thread(self.program.mendable):
                self._say(self.name, "says that it is broken; a new start will help")
                process.kill()
                return
        self._say(self.name, f"answered nobody for {HUNG_SECONDS:.0f} s, killed")
        process.kill()


async def stop_in_order(groups: list[list[Supervised]]) -> None:
    """Stop group after group, the members of a group at once."""
    for group in groups:
        await asyncio.gather(*(member.stop() for member in group))
