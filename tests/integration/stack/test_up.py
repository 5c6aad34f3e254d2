"""A whole mesh comes up, holds, and leaves nothing behind."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from malha.stack import StateInUseError, UpOptions, up
from malha.testing.mesh import Mesh

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_mesh_answers_survives_a_crash_and_ends_whole(tmp_path: Path) -> None:
    async with Mesh(tmp_path) as mesh, aiohttp.ClientSession(mesh.rest_url) as rest:
        assert set(mesh.pids()) == {
            *("nats", "valkey", "gateway", "planner", "tools", "retrieval", "guard", "cost", "edge")
        }
        assert (tmp_path / "ready.json").stat().st_mode & 0o077 == 0
        with pytest.raises(StateInUseError, match="another mesh runs on"):
            await up(UpOptions(state=tmp_path / "mesh", free_ports=True))

        before = mesh.pids()
        for name in ("guard", "nats"):
            os.kill(before[name], signal.SIGKILL)
        await eventually(lambda: all(mesh.pids()[name] != before[name] for name in ("guard", "nats")))
        await eventually_answering(rest, mesh.api_key)
        pids = mesh.pids()
    assert not [name for name, pid in pids.items() if alive(pid)]
    assert not (tmp_path / "ready.json").exists()


async def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    async with Mesh(tmp_path) as mesh:
        pids = mesh.pids()
        os.kill(mesh.pid, signal.SIGKILL)
        await eventually(lambda: not [name for name, pid in pids.items() if alive(pid)])


async def test_a_mesh_whose_log_has_no_room_serves_and_ends_as_any_other(tmp_path: Path) -> None:
    async with Mesh(tmp_path, log=Path("/dev/full")) as mesh, aiohttp.ClientSession(mesh.rest_url) as rest:
        before = mesh.pids()
        await mesh.kill("guard")
        await eventually_answering(rest, mesh.api_key)
        assert before["nats"] == mesh.pids()["nats"]
        process, pids = mesh.pid, mesh.pids()
    assert not [pid for pid in (process, *pids.values()) if alive(pid)]
    assert not (tmp_path / "ready.json").exists()


async def test_a_start_that_is_broken_off_leaves_no_process(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path)
    starting = asyncio.create_task(mesh.__aenter__())
    await eventually((tmp_path / "mesh" / "lock").exists)
    pid = mesh.pid
    starting.cancel()
    await asyncio.wait((starting,))
    assert not alive(pid)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - other processes have no event to wait for
            await asyncio.sleep(0.02)


async def eventually_answering(rest: aiohttp.ClientSession, api_key: str) -> None:
    headers = {"authorization": f"Bearer {api_key}"}
    async with asyncio.timeout(30):
        while True:
            async with rest.post(
                "/v1/runs:wait", json={"input": "What is 17 * 23?"}, headers=headers
            ) as response:
                body = await response.json()
            if response.status == 200:
                assert "391" in body["answer"]
                return
            assert response.status == 503, body
            await asyncio.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
