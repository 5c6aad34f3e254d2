"""An execution over records of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from malha.testing.tool_bench import Bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path / "tools.db")
    await bench.open()
    yield bench
    async with asyncio.timeout(5):
        await bench.execution.close()
    await bench.database.close()
