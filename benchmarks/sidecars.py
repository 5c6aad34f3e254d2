"""A process beside the mesh (model server, span sink), started by module name and found by its port file."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from types import TracebackType

_START_SECONDS = 15.0


class Sidecar:
    """``async with Sidecar(module, folder, *arguments) as sidecar:`` then ``sidecar.port``."""

    def __init__(self, module: str, folder: Path, *arguments: str) -> None:
        self.port = 0
        self._module = module
        self._port_file = folder / f"{module.rpartition('.')[2]}.port"
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Sidecar:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", self._module, "--port-file", str(self._port_file), *self._arguments
        )
        started = time.monotonic()
        while not self._port_file.exists():
            if self._process.returncode is not None or time.monotonic() - started > _START_SECONDS:
                await self.stop()
                raise RuntimeError(f"{self._module} did not start")
            await asyncio.sleep(0.02)
        self.port = int(self._port_file.read_text())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Ask it to end and wait until it has."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
