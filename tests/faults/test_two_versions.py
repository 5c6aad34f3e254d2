"""Processes of the version before beside this one's, in one mesh: where the history to take it from is there.

As in a roll, callees are new before their callers; so the old ones are a planner and a gateway, each with
a new one beside it that shares its journal, queue, events and database.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from malha.api.gateway.v1.run_pb2 import RUN_STATUS_SUCCEEDED, Run
from malha.client import Client, MalhaError
from malha.testing.mesh import Mesh

ROOT = Path(__file__).parents[2]
BEFORE = json.loads((ROOT / "tests" / "contract" / "previous_version.json").read_text())["commit"]
OLD = "planner-2,gateway-2"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The version before, as its commit has it."""
    git, archive = shutil.which("git") or "git", tmp_path / "before.tar"
    taken = subprocess.run([git, "-C", ROOT, "archive", "-o", archive, BEFORE], check=False)  # noqa: S603  # our own
    if taken.returncode:
        pytest.skip("the commit of the version before is not in this checkout")
    shutil.unpack_archive(archive, tmp_path / "before")
    return tmp_path / "before"


async def test_two_versions_side_by_side_end_each_others_runs(checkout: Path, tmp_path: Path) -> None:
    mesh = Mesh(
        tmp_path / "mesh",
        {"MALHA_TEST_OTHER": str(checkout), "MALHA_TEST_OTHERS": OLD},
        command=["malha.testing.mesh_of_two_versions"],
        options=["--replicas", "planner=2,gateway=2"],
    )
    async with mesh, mesh.client() as client:
        for name in OLD.split(","):
            assert runs_code_of(checkout, mesh.pids()[name])
        runs = await asyncio.gather(*(accepted(client) for _ in range(48)))
        for run in runs:
            events = [event async for event in client.events(run.run_id)]
            assert events[-1].HasField("finished")
        ended = [await client.run(run.run_id) for run in runs]
        failed = [
            f"{run.error.reason}: {run.error.message}" for run in ended if run.status != RUN_STATUS_SUCCEEDED
        ]
        assert failed == []
        assert all("391" in run.answer for run in ended)


async def accepted(client: Client) -> Run:
    """A run, asked for as often as the mesh, which has just begun, says that this helps.

    Without a key: a gateway asks planners about those, and a version's callees may be older than that.
    """
    async with asyncio.timeout(30):
        while True:
            try:
                return await client.create_run("What is 17 * 23?")
            except MalhaError as error:
                if error.retry_after is None:
                    raise
                await asyncio.sleep(error.retry_after)


def runs_code_of(checkout: Path, pid: int) -> bool:
    """Whether the process was started on that code."""
    return str(checkout).encode() in Path(f"/proc/{pid}/environ").read_bytes()
