"""How a client gets to a mesh: by the key it was given, past a proxy that is not meant for this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio

from malha.api.gateway.v1.run_service_pb2 import GetRunRequest, GetRunResponse
from malha.api.gateway.v1.run_service_pb2_grpc import RunServiceServicer, add_RunServiceServicer_to_server
from malha.client import Client, ErrorReason, MalhaError, target
from malha.stack.free_ports import free_port
from malha.testing.stubs import in_part

RUN = "a" * 52


class Runs(RunServiceServicer):
    """Gives a run to whoever asks, and keeps what they showed."""

    shown = ""

    async def GetRun(
        self, request: GetRunRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> GetRunResponse:
        self.shown = str(dict(context.invocation_metadata() or ())["authorization"])
        return GetRunResponse()


@pytest.fixture
def runs() -> Runs:
    return in_part(Runs)


@asynccontextmanager
async def serving(runs: Runs, port: int = 0) -> AsyncIterator[int]:
    server = grpc.aio.server()
    add_RunServiceServicer_to_server(runs, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    yield port
    await server.stop(0)


@pytest_asyncio.fixture
async def port(runs: Runs) -> AsyncIterator[int]:
    async with serving(runs) as port:
        yield port


async def test_a_key_is_sent_without_the_line_break_of_the_file_it_was_read_from(
    runs: Runs, port: int
) -> None:
    async with Client(f"127.0.0.1:{port}", "mk_dev_key\n") as client:
        await client.run(RUN)
    assert runs.shown == "Bearer mk_dev_key"


@pytest.mark.parametrize("key", ["mk_dev\nkey", "chave-secretíssima", "mk\x00"])
def test_a_key_that_no_header_can_hold_is_refused_at_once_and_not_told(key: str) -> None:
    with pytest.raises(MalhaError) as refused:
        Client("127.0.0.1:1", key)
    assert refused.value.reason == ErrorReason.ERROR_REASON_CREDENTIAL_INVALID
    assert key not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_this_machine_is_reached_whatever_proxy_the_environment_names(
    port: int, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    async with Client(f"{host}:{port}", "a key") as client:
        await client.run(RUN)


async def test_a_mesh_that_was_away_for_one_client_is_there_for_the_next(runs: Runs) -> None:
    port = free_port()
    async with Client(f"127.0.0.1:{port}") as early:
        with pytest.raises(MalhaError):
            await early.run(RUN)
    async with serving(runs, port), Client(f"127.0.0.1:{port}") as client:
        assert await client.run(RUN)


async def test_an_empty_target_in_the_environment_is_none(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALHA_GRPC_TARGET", "")
    monkeypatch.setattr(target, "DEFAULT_GRPC_TARGET", f"127.0.0.1:{port}")
    async with Client(api_key="a key") as client:
        await client.run(RUN)
