"""A process is replaced once the next one serves; where that does not come up, the old one stays."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from malha.stack.program import Handover, Program
from malha.stack.rolling import NotReplacedError, Rolling, UnknownProcessError
from malha.stack.supervisor import Supervised

# Serves once its mark is there; ends at once where a file says that it is broken.
PROGRAM = """
import pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
if (folder / "broken").exists(): print("a word is missing"); sys.exit(int((folder / "broken").read_text()))
(folder / "mark").touch()
while True: time.sleep(1)
"""


@asynccontextmanager
async def rolling(folder: Path, how: Handover) -> AsyncIterator[tuple[Rolling, dict[str, Supervised]]]:
    program = Program(
        name="cost",
        argv=(sys.executable, "-u", "-c", PROGRAM, str(folder)),
        ready=lambda: True,
        mark=folder / "mark",
        handing_over=how,
    )
    members = {"cost": Supervised(program, lambda name, line: None, lambda: None)}
    async with asyncio.TaskGroup() as tasks:
        rolls = Rolling(members, tasks, lambda: None)
        await members["cost"].start(tasks)
        await members["cost"].until_ready(time.monotonic() + 20)
        yield rolls, members
        await members["cost"].stop()


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("how", [Handover.BESIDE, Handover.AFTER])
async def test_the_next_process_takes_the_place_and_the_old_one_ends(tmp_path: Path, how: Handover) -> None:
    told: list[str] = []
    async with rolling(tmp_path, how) as (rolls, members):
        before = members["cost"].pid
        await rolls.roll(["cost"], told.append)
        after = members["cost"].pid
        assert lives(after)
        assert not lives(before)
    assert [line.rpartition(" in ")[0] for line in told] == [f"cost: {before} -> {after}"]


@pytest.mark.parametrize("code", [1, 2])
async def test_a_successor_that_ends_is_not_tried_again_and_the_old_process_goes_on(
    tmp_path: Path, code: int
) -> None:
    async with rolling(tmp_path, Handover.BESIDE) as (rolls, members):
        before = members["cost"].pid
        (tmp_path / "broken").write_text(str(code))
        began = time.monotonic()
        with pytest.raises(NotReplacedError) as refused:
            await rolls.roll(["cost"], pytest.fail)
        assert time.monotonic() - began < 10
        said = "cost is not replaced: it said 'a word is missing'"
        assert str(refused.value) == f"{said}; process {before} goes on"
        assert members["cost"].pid == before
        assert lives(before)
        assert not rolls.between

        (tmp_path / "broken").unlink()
        os.kill(before, signal.SIGKILL)  # and it is kept running as ever
        async with asyncio.timeout(20):
            while members["cost"].pid == before:  # noqa: ASYNC110 - the supervisor's own task has no event
                await asyncio.sleep(0.01)


async def test_one_that_ended_for_its_successor_is_started_again_where_that_does_not_come_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rolling(tmp_path, Handover.AFTER) as (rolls, members):
        before = members["cost"].pid
        (tmp_path / "broken").write_text("1")
        keep_on = Supervised.keep_on

        async def mended(old: Supervised, tasks: asyncio.TaskGroup) -> None:
            (tmp_path / "broken").unlink()
            await keep_on(old, tasks)

        monkeypatch.setattr(Supervised, "keep_on", mended)
        with pytest.raises(NotReplacedError) as refused:
            await rolls.roll(["cost"], pytest.fail)
        after = members["cost"].pid
        assert str(refused.value).endswith(f"it was started again as before, as process {after}")
        assert after != before
        assert lives(after)


async def test_one_that_does_not_come_up_again_either_is_said(tmp_path: Path) -> None:
    async with rolling(tmp_path, Handover.AFTER) as (rolls, members):
        (tmp_path / "broken").write_text("2")
        with pytest.raises(NotReplacedError, match="nor does it come up again by itself"):
            await rolls.roll(["cost"], pytest.fail)
        del members


async def test_an_unknown_name_replaces_nothing(tmp_path: Path) -> None:
    async with rolling(tmp_path, Handover.BESIDE) as (rolls, members):
        before = members["cost"].pid
        with pytest.raises(UnknownProcessError, match="there is no lathe; there are cost"):
            await rolls.roll(["cost", "lathe"], pytest.fail)
        assert members["cost"].pid == before
