"""SIGKILL of the tools service at each side of an effect: what a new process can tell of it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.tools.v1 import tools_service_pb2 as pb
from malha.api.tools.v1.tools_service_pb2_grpc import ToolsServiceStub
from malha.errors import ErrorReason, MalhaError
from malha.run.keys import run_id_for, step_key
from malha.testing.pause_points import PausePoints
from malha.wire import Identity, Peer, acting_for

KEY = step_key("acme", run_id_for("acme", "run"), 1, 3, 1)


class Process:
    """The service as a process of its own, over a folder that outlives it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lines = folder / "lines"
        self._port_file = folder / "port"
        (folder / "pauses").mkdir()
        self.pauses = PausePoints(folder / "pauses")
        self._secrets = folder / "secrets"
        self._secrets.mkdir()
        self._peers: list[Peer] = []
        for service in ("planner", "tools"):
            self._make_key(service)

    def _make_key(self, service: str) -> None:
        key = Ed25519PrivateKey.generate()
        private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
        public = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        (self._secrets / f"{service}.key").write_bytes(
            key.private_bytes(*private, serialization.NoEncryption())
        )
        (self._secrets / f"{service}.pub").write_bytes(key.public_key().public_bytes(*public))

    async def start(self) -> None:
        appender = {"path": str(self.lines), "pauses": str(self._folder / "pauses")}
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "malha_tools"),
            env={
                **os.environ,
                "MALHA_TOOLS_STATE_DIR": str(self._folder / "state"),
                "MALHA_TOOLS_SECRETS_DIR": str(self._secrets),
                "MALHA_TOOLS_PORT_FILE": str(self._port_file),
                "MALHA_TOOLS_EXTRA_TOOLS": json.dumps({"malha.testing.tools:file_appender": appender}),
            },
        )
        await self.until(self._port_file.exists)
        port = self._port_file.read_text()
        self._port_file.unlink()
        identity = Identity.load(self._secrets, "planner")
        self._peer = Peer("tools", f"127.0.0.1:{port}", identity=identity)
        self._peers.append(self._peer)
        self._stub = ToolsServiceStub(self._peer.channel)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                assert self._process.returncode is None, "the service ended by itself"
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def stop(self) -> int:
        self._process.terminate()
        return await self._process.wait()

    async def close(self) -> None:
        await self.kill()
        for peer in self._peers:
            await peer.close()

    async def append(self, line: str = "one") -> pb.ToolResult:
        request = pb.ExecuteRequest(
            key=KEY,
            tool="append_line",
            arguments_json=json.dumps({"line": line}),
            allowed_tools=["append_line"],
        )
        with acting_for(Principal(tenant="acme"), timeout=20):
            return (await self._peer.call(self._stub.Execute, request, timeout=20)).result

    async def resolve(self) -> pb.Resolution:
        with acting_for(Principal(tenant="acme"), timeout=20):
            response = await self._peer.call(
                self._stub.Resolve, pb.ResolveRequest(key=KEY), timeout=20, idempotent=True
            )
        return response.resolution

    def written(self) -> list[str]:
        return self.lines.read_text().splitlines() if self.lines.exists() else []


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Process]:
    process = Process(tmp_path)
    await process.start()
    yield process
    await process.close()


@pytest.mark.parametrize(("point", "lines"), [("before_acting", []), ("after_acting", ["one"])])
async def test_killed_beside_the_act_its_outcome_is_unknown_and_it_never_acts_again(
    service: Process, point: str, lines: list[str]
) -> None:
    service.pauses.hold(point)
    call = asyncio.create_task(service.append())
    await service.until(lambda: service.pauses.reached(point))
    await service.kill()
    with pytest.raises(MalhaError):
        await call
    service.pauses.release(point)
    await service.start()
    assert await service.resolve() == pb.RESOLUTION_UNKNOWN
    with pytest.raises(MalhaError) as error:
        await service.append()
    assert error.value.reason == ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN
    assert service.written() == lines


async def test_killed_after_the_record_its_result_stands(service: Process) -> None:
    result = await service.append()
    await service.kill()
    await service.start()
    assert await service.resolve() == pb.RESOLUTION_RESULT
    assert await service.append() == result
    assert service.written() == ["one"]


async def test_killed_before_it_was_called_the_key_is_closed(service: Process) -> None:
    await service.kill()
    await service.start()
    assert await service.resolve() == pb.RESOLUTION_TOMBSTONED
    with pytest.raises(MalhaError) as error:
        await service.append()
    assert error.value.reason == ErrorReason.ERROR_REASON_EFFECT_TOMBSTONED
    assert service.written() == []


async def test_told_to_stop_it_finishes_what_it_began(service: Process) -> None:
    service.pauses.hold("before_acting")
    call = asyncio.create_task(service.append())
    await service.until(lambda: service.pauses.reached("before_acting"))
    stopping = asyncio.create_task(service.stop())
    await asyncio.sleep(0)  # the signal is sent
    service.pauses.release("before_acting")
    assert (await call).text == "The line was appended: one"
    assert await stopping == 0
    await service.start()
    assert await service.resolve() == pb.RESOLUTION_RESULT
