"""An outside subscriber: prints what the mesh announces on NATS, beside everything else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
from nats.aio.msg import Msg
from rich.console import Console

from malha.testing.mesh import Mesh

_TENANT = "dev"


@asynccontextmanager
async def events_beside(mesh: Mesh, console: Console) -> AsyncIterator[None]:
    """Print what is announced of the tenant's runs while the block runs."""

    async def tell(message: Msg) -> None:
        event = json.loads(message.data)
        facts = event["data"]
        what = " ".join(str(facts[key]) for key in ("kind", "name", "status") if facts.get(key))
        console.print(f"      [magenta]NATS[/] [dim]{event['type']} {what} @{facts['position']}[/]")

    connection = await nats.connect(mesh.nats_url)
    await connection.subscribe(f"malha.event.{_TENANT}.run.>", cb=tell)
    try:
        yield
    finally:
        await connection.drain()
