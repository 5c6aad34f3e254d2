"""When a store counts as absent: when it does not answer, and not when nobody had time to listen."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from malha.limits.valkey import Valkey
from malha.stack.free_ports import free_port
from malha.telemetry import metrics
from malha.testing.forgetting import forgotten
from malha.testing.servers import RunningServer


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Valkey]:
    valkey = Valkey(valkey_url)
    assert await valkey.ping()
    yield valkey
    await valkey.close()


async def test_a_loop_that_was_busy_does_not_take_its_store_for_absent(valkey: Valkey) -> None:
    asked = [asyncio.create_task(valkey.ping()) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # the commands are on their way
    time.sleep(0.4)  # noqa: ASYNC251  # a loop that is late is what this is about
    assert all(await asyncio.gather(*asked))
    assert not valkey.away


async def test_a_store_that_hangs_is_absent_soon_and_back_when_it_goes_on(
    valkey: Valkey, valkey_server: RunningServer
) -> None:
    os.kill(valkey_server.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert not await valkey.ping()
        assert time.monotonic() - began < 1.0
        assert valkey.away
    finally:
        os.kill(valkey_server.pid, signal.SIGCONT)
    async with asyncio.timeout(10):
        while not await valkey.ping():  # noqa: ASYNC110  # it is left alone for a moment, then asked
            await asyncio.sleep(0.05)


async def test_the_connection_keeps_nothing_of_the_call_that_opened_it(valkey_url: str) -> None:
    """A call has its caller's credential, and the connection lasts as long as the process."""
    valkey = Valkey(valkey_url)
    await forgotten(valkey.ping)
    await valkey.close()


async def test_an_absent_store_is_counted_for_each_command_and_logged_once() -> None:
    valkey = Valkey(f"redis://127.0.0.1:{free_port()}")
    before = metrics.LIMITS_FAILED_OPEN.labels("cache")._value.get()
    with capture_logs() as logged:
        assert await asyncio.gather(*(valkey.ask("cache", "GET", str(i)) for i in range(50))) == [None] * 50
    await valkey.close()
    assert metrics.LIMITS_FAILED_OPEN.labels("cache")._value.get() == before + 50
    assert [(line["event"], line["commands"]) for line in logged] == [("valkey_failed", 50)]
