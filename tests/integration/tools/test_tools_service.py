"""The tools service over a real socket, with real price endpoints and a real Valkey."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.retrieval.v1 import retrieval_service_pb2 as retrieval
from malha.api.retrieval.v1.retrieval_pb2 import Passage
from malha.api.retrieval.v1.retrieval_service_pb2_grpc import (
    RetrievalServiceServicer,
    add_RetrievalServiceServicer_to_server,
)
from malha.api.run.v1.record_pb2 import Clearance, Risk, StepOutcome
from malha.api.tools.v1 import tools_service_pb2 as pb
from malha.api.tools.v1.tools_service_pb2_grpc import ToolsServiceStub
from malha.errors import ErrorReason, MalhaError
from malha.run import call_hash
from malha.run.keys import run_id_for, step_key
from malha.testing.price_providers import PriceProviders, load
from malha.testing.stubs import in_part
from malha.wire import Identity, Peer, Server, acting_for, current
from malha_tools.app import open_server
from malha_tools.settings import Settings

PRICES = Path(__file__).parents[3] / "examples" / "gpu_prices" / "prices.json"
ALL = ["calculator", "gpu_prices", "search_knowledge", "append_line", "stop_line"]
PLANT = Path(__file__).parents[3] / "examples" / "plant" / "lines.json"


class Library(RetrievalServiceServicer):
    """A retrieval service with one passage a tenant."""

    async def Search(self, request: retrieval.SearchRequest, context: object) -> retrieval.SearchResponse:
        call = current()
        text = f"{request.query} by {call.principal.tenant}, asked by {call.caller}"
        return retrieval.SearchResponse(passages=[Passage(document="a.md", section="B > C", text=text)])


class Mesh:
    """The service, its callers, and what it stands on."""

    def __init__(self, secrets: Path, port: int, providers: PriceProviders, lines: Path, plant: Path) -> None:
        self.providers = providers
        self.plant = plant
        self.lines = lines
        self._peers = {
            name: Peer("tools", f"127.0.0.1:{port}", identity=Identity.load(secrets, name))
            for name in ("planner", "gateway")
        }
        self._step = 0

    def key(self, tenant: str) -> str:
        self._step += 1
        return step_key(tenant, run_id_for(tenant, "run"), self._step, 3, 1)

    async def execute(
        self,
        tool: str,
        arguments: object,
        *,
        key: str = "",
        tenant: str = "acme",
        tier: Tier = Tier.TIER_FREE,
        caller: str = "planner",
        allowed: list[str] = ALL,
        clearance: Clearance | None = None,
    ) -> pb.ToolResult:
        peer = self._peers[caller]
        request = pb.ExecuteRequest(
            key=key or self.key(tenant),
            tool=tool,
            arguments_json=json.dumps(arguments),
            allowed_tools=allowed,
            clearance=clearance,
        )
        with acting_for(Principal(tenant=tenant, subject="ana", tier=tier), timeout=10):
            response = await peer.call(ToolsServiceStub(peer.channel).Execute, request, timeout=10)
        return response.result

    async def tools(self) -> list[str]:
        peer = self._peers["planner"]
        with acting_for(Principal(tenant="acme"), timeout=5):
            response = await peer.call(
                ToolsServiceStub(peer.channel).ListTools, pb.ListToolsRequest(), timeout=5
            )
        return [tool.name for tool in response.tools]

    async def resolve(self, key: str) -> pb.ResolveResponse:
        peer = self._peers["planner"]
        with acting_for(Principal(tenant="acme"), timeout=5):
            return await peer.call(
                ToolsServiceStub(peer.channel).Resolve, pb.ResolveRequest(key=key), timeout=5
            )

    async def close(self) -> None:
        for peer in self._peers.values():
            await peer.close()


def make_secrets(folder: Path, *services: str) -> Path:
    folder.mkdir()
    for service in services:
        key = Ed25519PrivateKey.generate()
        (folder / f"{service}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        (folder / f"{service}.pub").write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
    return folder


@pytest.fixture
async def mesh(tmp_path: Path, valkey_url: str) -> AsyncIterator[Mesh]:
    secrets = make_secrets(tmp_path / "secrets", "planner", "gateway", "tools", "retrieval")
    lines = tmp_path / "lines"
    async with AsyncExitStack() as stack:
        providers = await stack.enter_async_context(PriceProviders(load(PRICES)))
        library = Server(
            "retrieval", identity=Identity.load(secrets, "retrieval"), allow=frozenset({"tools"})
        )
        library.add(add_RetrievalServiceServicer_to_server, in_part(Library))
        library_port = await library.start("127.0.0.1:0")
        stack.push_async_callback(library.drain, 0)
        plant = tmp_path / "plant.json"
        plant.write_text(PLANT.read_text(encoding="utf-8"), encoding="utf-8")
        settings = Settings(
            state_dir=tmp_path / "state",
            secrets_dir=secrets,
            valkey_url=valkey_url,
            retrieval_target=f"127.0.0.1:{library_port}",
            price_providers=providers.urls,
            extra_tools={
                "malha.testing.tools:file_appender": {"path": str(lines)},
                "examples.plant.lines:stop_line": {"file": str(plant)},
            },
        )
        server = await stack.enter_async_context(open_server(settings))
        port = await server.start("127.0.0.1:0")
        stack.push_async_callback(server.drain, 0)
        mesh = Mesh(secrets, port, providers, lines, plant)
        stack.push_async_callback(mesh.close)
        yield mesh


async def test_the_tools_that_ship_and_those_of_the_settings_are_listed(mesh: Mesh) -> None:
    assert await mesh.tools() == ["append_line", "calculator", "gpu_prices", "search_knowledge", "stop_line"]


async def test_only_the_planner_may_call(mesh: Mesh) -> None:
    with pytest.raises(MalhaError) as error:
        await mesh.execute("calculator", {"expression": "1"}, caller="gateway")
    assert error.value.reason == ErrorReason.ERROR_REASON_CALLER_NOT_ALLOWED


async def test_documents_are_searched_in_the_principals_own_name(mesh: Mesh) -> None:
    result = await mesh.execute("search_knowledge", {"query": "budget"}, tenant="zeta")
    assert result.text == "[1] a.md, B > C\nbudget by zeta, asked by tools"
    assert [(c.marker, c.document, c.section) for c in result.citations] == [("[1]", "a.md", "B > C")]


async def test_prices_of_providers_over_http_and_one_that_is_away(mesh: Mesh) -> None:
    mesh.providers.failing.add("nimbus")
    result = await mesh.execute("gpu_prices", {"gpu": "H100"}, tenant="prices")
    assert result.outcome == StepOutcome.STEP_OUTCOME_OK
    assert "H100 at aurora: 2.49 USD per hour." in result.text
    assert "nimbus was unavailable: it answered HTTP 503 3 times in a row" in result.text
    assert mesh.providers.asked["nimbus"] == 3

    again = await mesh.execute("gpu_prices", {"gpu": "A100"}, tenant="prices")
    assert "nimbus was unavailable: it failed repeatedly and is left alone for now." in again.text
    assert mesh.providers.asked["nimbus"] == 3


async def test_whole_prices_are_cached_for_the_tenant_alone(mesh: Mesh) -> None:
    first = await mesh.execute("gpu_prices", {"gpu": "L4"}, tenant="cached")
    again = await mesh.execute("gpu_prices", {"gpu": "L4"}, tenant="cached")
    assert (first.from_cache, again.from_cache, again.text) == (False, True, first.text)
    assert not (await mesh.execute("gpu_prices", {"gpu": "L4"}, tenant="other")).from_cache
    assert mesh.providers.asked["aurora"] == 2


async def test_an_effect_happens_once_over_the_wire(mesh: Mesh) -> None:
    key = mesh.key("acme")
    results = await asyncio.gather(*(mesh.execute("append_line", {"line": "one"}, key=key) for _ in range(5)))
    assert mesh.lines.read_text().splitlines() == ["one"]
    assert all(result == results[0] for result in results)
    resolved = await mesh.resolve(key)
    assert (resolved.resolution, resolved.result) == (pb.RESOLUTION_RESULT, results[0])


async def test_a_late_call_after_resolve_is_refused_with_its_reason(mesh: Mesh) -> None:
    key = mesh.key("acme")
    assert (await mesh.resolve(key)).resolution == pb.RESOLUTION_TOMBSTONED
    with pytest.raises(MalhaError) as error:
        await mesh.execute("append_line", {"line": "late"}, key=key)
    assert error.value.reason == ErrorReason.ERROR_REASON_EFFECT_TOMBSTONED
    assert not mesh.lines.exists()


async def test_more_calls_than_the_tier_allows_are_refused_with_when_to_come_back(mesh: Mesh) -> None:
    async def burst(tenant: str, tier: Tier) -> list[MalhaError]:
        calls = (
            mesh.execute("calculator", {"expression": "1"}, tenant=tenant, tier=tier) for _ in range(130)
        )
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        return [outcome for outcome in outcomes if isinstance(outcome, MalhaError)]

    refused = await burst("hasty", Tier.TIER_FREE)
    assert 20 <= len(refused) <= 30
    assert {error.reason for error in refused} == {ErrorReason.ERROR_REASON_RATE_LIMITED}
    assert all(error.retry_after for error in refused)
    assert refused[0].metadata == {"limit": "100", "scope": "tool:calculator"}
    assert await burst("paying", Tier.TIER_PRO) == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"arguments": {"line": 2, "reason": "hot"}}, ErrorReason.ERROR_REASON_APPROVAL_MISMATCH),
        ({"policy": "another/1"}, ErrorReason.ERROR_REASON_APPROVAL_MISMATCH),
        ({"approved_by": []}, ErrorReason.ERROR_REASON_APPROVAL_REQUIRED),
        ({"hash": b""}, ErrorReason.ERROR_REASON_APPROVAL_REQUIRED),
    ],
)
async def test_what_was_not_approved_is_refused_before_anything_runs_and_what_was_runs(
    mesh: Mesh, changed: dict[str, Any], reason: ErrorReason
) -> None:
    approved = {"line": 3, "reason": "hot"}
    before = mesh.plant.read_text(encoding="utf-8")
    clearance: dict[str, Any] = {
        "risk": Risk.RISK_HIGH,
        "hash": call_hash("stop_line", "1", approved, "keeper/1"),
        "policy": "keeper/1",
        "approved_by": ["bea"],
    }
    other = Clearance(**{**clearance, **{name: new for name, new in changed.items() if name != "arguments"}})
    key = mesh.key("acme")
    with pytest.raises(MalhaError) as refused:
        await mesh.execute("stop_line", changed.get("arguments", approved), key=key, clearance=other)
    assert refused.value.reason == reason
    assert mesh.plant.read_text(encoding="utf-8") == before
    result = await mesh.execute("stop_line", approved, key=key, clearance=Clearance(**clearance))
    assert result.text == "Line 3 stands still at 71 degrees Celsius."
    assert (await mesh.resolve(key)).resolution == pb.Resolution.RESOLUTION_RESULT
