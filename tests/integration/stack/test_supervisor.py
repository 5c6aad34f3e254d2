"""The supervisor keeps programs running, tells why one does not start, and stops them."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from malha.stack import supervisor
from malha.stack.program import Program
from malha.stack.supervisor import StartError, Supervised, stop_in_order

# Says what it hears, and serves as soon as its file exists.
PROGRAM = """
import pathlib, signal, sys, time
file = pathlib.Path(sys.argv[1])
def end(number, frame):
    print("asked to end", flush=True)
    file.unlink(missing_ok=True)
    if "stubborn" not in sys.argv: sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("here", flush=True)
if "broken" in sys.argv: sys.exit(3)
if "settings" in sys.argv: print("no such setting", flush=True); sys.exit(2)
file.touch()
while True: time.sleep(1)
"""


class Said(list[tuple[str, str]]):
    """What the supervisor said; tests wait for a line instead of sleeping."""

    def __init__(self) -> None:
        super().__init__()
        self._news = asyncio.Event()

    def __call__(self, name: str, line: str) -> None:
        self.append((name, line))
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def lines(self, text: str) -> int:
        return sum(text in line for _, line in self)


@pytest.fixture
def said() -> Said:
    return Said()


def member(
    folder: Path,
    said: Said,
    *how: str,
    name: str = "p",
    broken: str = "",
    mendable: Callable[[], bool] = lambda: True,
    interpreter: Path = Path(sys.executable),
) -> Supervised:
    serving = folder / name
    program = Program(
        name=name,
        argv=(str(interpreter), "-c", PROGRAM, str(serving), *how),
        ready=serving.exists,
        chatter="here",
        broken=broken,
        mendable=mendable,
    )
    return Supervised(program, said, lambda: said(name, "serves"))


async def test_a_program_that_crashes_is_started_again(tmp_path: Path, said: Said) -> None:
    def served(times: int) -> bool:
        return said.lines("serves") == times

    async with asyncio.TaskGroup() as tasks:
        one = member(tmp_path, said)
        await one.start(tasks)
        await one.until_ready(time.monotonic() + 20)
        for crash in (1, 2):
            before = one.pid
            os.kill(before, signal.SIGKILL)
            (tmp_path / "p").unlink()
            await said.until(partial(served, crash + 1))
            assert one.pid != before
        assert said.lines("starts again in 0.2 s") == 1
        assert said.lines("starts again in 0.4 s") == 1
        assert said.lines("here") == 0  # chatter
        await one.stop()
    assert said.lines("asked to end") == 1


async def test_one_that_hangs_is_killed_and_started_again(
    tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "WATCH_SECONDS", 0.02)
    monkeypatch.setattr(supervisor, "HUNG_SECONDS", 0.1)
    async with asyncio.TaskGroup() as tasks:
        one = member(tmp_path, said)
        await one.start(tasks)
        await one.until_ready(time.monotonic() + 20)
        (tmp_path / "p").unlink()  # it lives, and answers no more
        await said.until(lambda: said.lines("serves") >= 2)
        assert said.lines("answered nobody") >= 1
        await one.stop()


async def test_one_that_says_it_is_broken_is_started_again_once_that_helps(
    tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "WATCH_SECONDS", 0.02)
    async with asyncio.TaskGroup() as tasks:
        one = member(tmp_path, said, broken="here", mendable=(tmp_path / "room").exists)
        await one.start(tasks)
        await one.until_ready(time.monotonic() + 20)
        assert said.lines("serves") == 1
        (tmp_path / "room").touch()
        await said.until(lambda: said.lines("serves") >= 2)
        assert said.lines("a new start will help") >= 1
        await one.stop()


async def test_why_a_program_does_not_start_is_told(tmp_path: Path, said: Said) -> None:
    async with asyncio.TaskGroup() as tasks:
        one = member(tmp_path, said, "broken")
        await one.start(tasks)
        with pytest.raises(StartError, match=r"p does not come up; it said:\n  here"):
            await one.until_ready(time.monotonic() + 0.5)
        await one.stop()


async def test_wrong_settings_are_not_tried_twice(tmp_path: Path, said: Said) -> None:
    async with asyncio.TaskGroup() as tasks:
        one = member(tmp_path, said, "settings")
        await one.start(tasks)
        with pytest.raises(StartError, match="no such setting"):
            await one.until_ready(time.monotonic() + 20)
        await one.stop()
    assert said.lines("starts again") == 0


async def test_stopping_goes_group_by_group_and_kills_the_stubborn(
    tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asyncio.TaskGroup() as tasks:
        names = ("edge", "service", "server")
        members = {name: member(tmp_path, said, name=name) for name in names}
        stubborn = member(tmp_path, said, "stubborn", name="stubborn")
        for one in (*members.values(), stubborn):
            await one.start(tasks)
            await one.until_ready(time.monotonic() + 20)
        await stubborn.stop(within=0.1)
        assert ("stubborn", "did not end within 0 s, killed") in said
        await stop_in_order([[members[name]] for name in names])
    assert [name for name, line in said if line == "asked to end"] == ["stubborn", *names]


async def test_a_program_that_cannot_be_started_again_is_tried_until_it_can(
    tmp_path: Path, said: Said
) -> None:
    interpreter = tmp_path / "python"
    interpreter.symlink_to(sys.executable)
    async with asyncio.TaskGroup() as tasks:
        one = member(tmp_path, said, interpreter=interpreter)
        await one.start(tasks)
        await one.until_ready(time.monotonic() + 20)
        interpreter.unlink()  # as while it is installed anew
        os.kill(one.pid, signal.SIGKILL)
        await said.until(lambda: said.lines("cannot be started") >= 2)
        interpreter.symlink_to(sys.executable)
        await said.until(lambda: said.lines("serves") >= 2)
        await one.stop()


async def test_a_program_that_is_not_there_is_told_of_at_once(tmp_path: Path, said: Said) -> None:
    async with asyncio.TaskGroup() as tasks:
        one = member(tmp_path, said, interpreter=tmp_path / "python")
        with pytest.raises(StartError, match="p cannot be started: No such file"):
            await one.start(tasks)


async def test_one_that_waits_to_be_started_again_is_stopped_at_once(
    tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 3600.0)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        one = member(tmp_path, said, "broken")
        await one.start(tasks)
        await said.until(lambda: said.lines("starts again in 3600.0 s") == 1)
        await one.stop(within=3600.0)
