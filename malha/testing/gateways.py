"""Gateways as they run, in this process: for tests that need more than one, or an edge before them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from malha.stack.secrets import Secrets
from malha.testing.peers import FakePeers
from malha_gateway.app import main
from malha_gateway.settings import Settings


@asynccontextmanager
async def running_gateway(
    state: Path, secrets: Secrets, peers: FakePeers, *, nats_url: str, valkey_url: str, **settings: Any
) -> AsyncIterator[int]:
    """A gateway whose peers do as told; its port. ``settings`` are fields of its Settings."""
    state.mkdir(exist_ok=True)  # noqa: ASYNC240 - one folder, before anything runs
    stop, port_file = asyncio.Event(), state / "port"
    made = Settings.model_validate(
        {
            "state_dir": state,
            "secrets_dir": secrets.of("gateway"),
            "nats_url": nats_url,
            "valkey_url": valkey_url,
            "port_file": str(port_file),
            "bootstrap_key_file": str(secrets.api_key_file),
            **{f"{name}_target": target for name, target in peers.targets.items()},
            **settings,
        }
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(main(made, stop=stop))
        async with asyncio.timeout(10):
            while not port_file.exists():  # noqa: ASYNC110 - a file has no event to wait for
                await asyncio.sleep(0.01)
        try:
            yield int(port_file.read_text())
        finally:
            stop.set()
