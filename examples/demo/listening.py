"""An outside subscriber: prints what the mesh announces on NATS, beside everything else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
from nats.aio.client import Client as Connection
from nats.js.api import ConsumerConfig, DeliverPolicy
from rich.console import Console

from malha.testing.mesh import Mesh

_TENANT = "dev"


@asynccontextmanager
async def events_beside(mesh: Mesh, console: Console) -> AsyncIterator[None]:
    """Print the tenant's announced facts while the block runs."""
    connection = await nats.connect(mesh.nats_url)
    printing = asyncio.create_task(_print(connection, console))
    try:
        yield
    finally:
        printing.cancel()
        await asyncio.gather(printing, return_exceptions=True)
        await connection.close()


async def _print(connection: Connection, console: Console) -> None:
    subscription = await connection.jetstream().pull_subscribe(
        f"malha.event.{_TENANT}.>",
        stream="EVENTS",
        config=ConsumerConfig(deliver_policy=DeliverPolicy.NEW, inactive_threshold=60),
    )
    while True:
        try:
            messages = await subscription.fetch(50, timeout=5)
        except TimeoutError:
            continue
        for message in messages:
            event = json.loads(message.data)
            facts = event["data"]
            what = " ".join(str(facts[key]) for key in ("kind", "name", "status") if facts.get(key))
            position = facts.get("position", "")
            console.print(f"      [magenta]NATS[/] [dim]{event['type']} {what} @{position}[/]")
            await message.ack()
