"""SIGKILL of the planner between any two writes of a run whose tool acts once: the file has one line.

Real processes on a real nats-server: planner, guard, cost and tools.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from malha.api.gateway.v1.run_pb2 import RunStatus
from malha.api.run.v1.record_pb2 import ParkReason
from malha.testing.model_server import ModelServer
from malha.testing.planner_processes import PlannerProcesses

SCRIPT = {
    "rules": [
        {"turn": 0, "tool_calls": [{"name": "append_line", "arguments": {"line": "{user}"}}]},
        {"turn": 1, "text": "It is written."},
    ]
}
SECONDS = 30


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parts(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PlannerProcesses]:
    async with ModelServer(SCRIPT) as model:
        agents = {"scribe": {"tools": ["append_line"]}}
        async with PlannerProcesses(tmp_path_factory.mktemp("mesh"), model.base_url, agents) as made:
            yield made


@pytest.fixture
def mesh(parts: PlannerProcesses) -> Iterator[PlannerProcesses]:
    """The services, without a planner and without a line."""
    parts.lines.unlink(missing_ok=True)
    yield parts
    parts.parts["planner"].kill()


@pytest.mark.parametrize(
    "boundary",
    [
        "before_model_started",
        "after_model_started",
        "before_tool_started",
        "after_tool_started",
        "tool_returned",
        "after_tool_result",
        "after_model_started:2",
        "before_final",
    ],
)
async def test_a_run_ends_as_it_would_have_and_its_effect_happened_once(
    mesh: PlannerProcesses, boundary: str
) -> None:
    mesh.start_planner(boundary)
    run_id = await mesh.accept("one line", agent="scribe")
    await mesh.until_planner_died()
    assert not (await mesh.state(run_id)).final
    mesh.start_planner()
    async with asyncio.timeout(SECONDS):
        state = await mesh.until_still(run_id)
    assert state.status == RunStatus.RUN_STATUS_SUCCEEDED
    assert await mesh.answer(state) == "It is written."
    assert mesh.written() == 1
    assert state.finished is not None
    assert state.finished.cost == state.cost


async def test_killed_between_the_tools_act_and_its_record_the_run_stops_with_outcome_unknown(
    mesh: PlannerProcesses,
) -> None:
    mesh.pauses.hold("after_acting")
    mesh.start_planner()
    run_id = await mesh.accept("one line", agent="scribe")
    await mesh.until(lambda: mesh.pauses.reached("after_acting"))
    mesh.parts["planner"].kill()
    mesh.parts["tools"].kill()
    mesh.pauses.release("after_acting")
    mesh.parts["tools"].start(timeout=30)
    mesh.start_planner()
    async with asyncio.timeout(SECONDS):
        state = await mesh.until_still(run_id)
    assert state.parked is not None
    assert state.parked.reason == ParkReason.PARK_REASON_OUTCOME_UNKNOWN
    assert mesh.written() == 1


async def test_a_tool_that_goes_on_while_the_planner_is_dead_is_not_run_again(mesh: PlannerProcesses) -> None:
    mesh.pauses.hold("after_acting")
    mesh.start_planner()
    run_id = await mesh.accept("one line", agent="scribe")
    await mesh.until(lambda: mesh.pauses.reached("after_acting"))
    mesh.parts["planner"].kill()
    mesh.pauses.release("after_acting")
    mesh.start_planner()
    async with asyncio.timeout(SECONDS):
        state = await mesh.until_still(run_id)
    assert mesh.written() == 1
    assert state.status == RunStatus.RUN_STATUS_SUCCEEDED
