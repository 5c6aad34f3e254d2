"""One whole mesh for all tests of this folder: real servers, six processes, the edge.

Beside it, in the test process: a collector of spans, price providers of which one is out of order, and
a scripted model server. Tests keep apart by tenants and by the words of their questions.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml

from malha.errors import ErrorReason, MalhaError
from malha.testing import scripted_agents
from malha.testing.callers import Caller, Callers
from malha.testing.mesh import Mesh
from malha.testing.model_server import ModelServer
from malha.testing.price_providers import PriceProviders, load
from malha.testing.span_sink import SpanSink

ROOT = Path(__file__).parents[2]
OUT_OF_ORDER = "nimbus"
PLANT = ROOT / "examples" / "plant"
KEEPER = yaml.safe_load((PLANT / "agents" / "line-keeper.yaml").read_text(encoding="utf-8"))
AGENTS: dict[str, dict[str, Any]] = {
    "scripted": {"tools": ["calculator"]},
    "comparing": {"tools": ["gpu_prices"]},
    "frugal": {"tools": ["calculator"], "limits": {"max_output_tokens": 20}},
    "keeper": {key: KEEPER[key] for key in ("tools", "approvals", "preauthorised")},
    "strict-keeper": {"tools": KEEPER["tools"], "approvals": {"on_rejection": "end_run"}},
    "hasty-keeper": {
        "tools": KEEPER["tools"],
        "approvals": {"expires_seconds": 1, "on_rejection": "end_run"},
    },
}
RECOVERS_WITHIN = 30.0
EXTRA_TOOLS: dict[str, dict[str, str]] = {
    "tests.e2e.unseen.tools:TideTimes": {},
    "tests.e2e.unseen.tools:FerryFare": {},
}


def pytest_itemcollected(item: pytest.Item) -> None:
    """All on one event loop, since they share a mesh; each process of pytest-xdist has one of its own."""
    if item.path.is_relative_to(Path(__file__).parent):
        item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Who reads of a failure reads what the mesh said last."""
    report = yield
    mesh = getattr(item, "funcargs", {}).get("mesh")
    if report.failed and mesh is not None:
        report.sections.append(("the mesh", mesh.log_tail()))
    return report


@dataclass(frozen=True)
class Around:
    """What stands around the mesh, in this process."""

    spans: SpanSink
    models: ModelServer
    prices: PriceProviders


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def around() -> AsyncIterator[Around]:
    spans = SpanSink()
    await spans.start()
    prices = PriceProviders(load(ROOT / "examples" / "gpu_prices" / "prices.json"), failing=[OUT_OF_ORDER])
    async with ModelServer({"rules": []}) as models, prices:
        yield Around(spans, models, prices)
    await spans.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mesh(around: Around, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    state = tmp_path_factory.mktemp("mesh")
    lines = state / "lines.json"
    lines.write_text((PLANT / "lines.json").read_text(encoding="utf-8"), encoding="utf-8")
    plant = {
        f"examples.plant.lines:{tool}": {"file": str(lines)}
        for tool in ("line_reading", "stop_line", "set_line_speed")
    }
    environment = {
        **scripted_agents.settings(state / "scripted", around.models.base_url, AGENTS),
        "MALHA_OTLP_ENDPOINT": around.spans.endpoint,
        "MALHA_PLANNER_ACK_WAIT_SECONDS": "2",
        "MALHA_TOOLS_PRICE_PROVIDERS": json.dumps(around.prices.urls),
        "MALHA_TOOLS_EXTRA_TOOLS": json.dumps(EXTRA_TOOLS | plant),
    }
    async with Mesh(state, environment) as mesh:
        yield mesh


@pytest_asyncio.fixture(loop_scope="session")
async def rest(mesh: Mesh) -> AsyncIterator[aiohttp.ClientSession]:
    """HTTP with the development key."""
    headers = {"authorization": f"Bearer {mesh.api_key}"}
    async with aiohttp.ClientSession(mesh.rest_url, headers=headers) as session:
        yield session


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def callers(mesh: Mesh) -> AsyncIterator[Callers]:
    made = Callers(mesh)
    yield made
    await made.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def caller(callers: Callers) -> Caller:
    """A caller of a tenant of its own."""
    return await callers.of("bad-input")


@pytest_asyncio.fixture(loop_scope="session")
async def whole_again(mesh: Mesh) -> AsyncIterator[None]:
    """For tests that take parts of the mesh away: the next test finds it whole, with no breaker open."""
    yield
    async with mesh.client() as client, asyncio.timeout(RECOVERS_WITHIN):
        while True:
            try:
                await client.search("anything")
                await client.ask("What is 17 * 23?")
                await client.ask("What do the documents say?", agent="docs")  # tools call retrieval, too
            except MalhaError as error:
                if error.reason != ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE:
                    raise
                await asyncio.sleep(0.1)
            else:
                return
