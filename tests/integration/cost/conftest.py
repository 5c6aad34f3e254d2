"""The cost service as a process of its own, on a real socket, with a ledger on a real disk."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest

from malha.api.cost.v1.cost_service_pb2 import Settlement
from malha.stack.secrets import Secrets
from malha.testing.ledgers import PostgresBook, PostgresShelf
from malha.testing.money import PRICE_FILE, tool
from malha.testing.postgres import postgres
from malha.testing.postgres_sessions import READER, session, till_of

SERVE = "from malha_cost import __main__"


class Running(Protocol):
    """A started service."""

    target: str

    async def kill(self) -> None: ...


class CostProcess:
    """``kill`` is a SIGKILL; whoever starts it again on the same state finds the same ledger."""

    def __init__(self, process: asyncio.subprocess.Process, target: str) -> None:
        self.process = process
        self.target = target

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


Start = Callable[..., Awaitable[Running]]


@pytest.fixture(scope="session")
def mesh_secrets(tmp_path_factory: pytest.TempPathFactory) -> Secrets:
    return Secrets(tmp_path_factory.mktemp("secrets"))


@pytest.fixture
async def start_cost(tmp_path: Path, mesh_secrets: Secrets) -> AsyncIterator[Start]:
    """Starts the service; ``program`` replaces what the process runs.

    With a ``database_url`` its ledger is there, and any number of processes may be started.
    """
    prices = tmp_path / "prices.yaml"
    prices.write_text(PRICE_FILE)
    numbers = itertools.count(1)
    environment = {
        **os.environ,
        "MALHA_COST_STATE_DIR": str(tmp_path / "state"),
        "MALHA_COST_SECRETS_DIR": str(mesh_secrets.of("cost")),
        "MALHA_COST_PRICE_FILE": str(prices),
        "MALHA_COST_REFERENCE_MODEL": "named/half",
    }
    async with AsyncExitStack() as stack:

        async def start(program: str = SERVE, database_url: str = "") -> Running:
            port_file = tmp_path / f"port-{next(numbers)}"
            own = {"MALHA_COST_PORT_FILE": str(port_file), "MALHA_COST_DATABASE_URL": database_url}
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", program, env=environment | own
            )
            while not port_file.exists():
                assert process.returncode is None, "the service did not start"
                await asyncio.sleep(0.01)
            running = CostProcess(process, f"127.0.0.1:{port_file.read_text()}")
            stack.push_async_callback(running.kill)
            return running

        yield start


@pytest.fixture(scope="session")
def shelf() -> Iterator[PostgresShelf]:
    with postgres() as server:
        yield PostgresShelf(server)


@pytest.fixture
async def postgres_book(shelf: PostgresShelf) -> AsyncIterator[PostgresBook]:
    """A migrated database of the test's own."""
    async with shelf.book() as book:
        yield book


@pytest.fixture
async def filled(postgres_book: PostgresBook) -> PostgresBook:
    """Two tenants' money, and a login that may read one's."""
    for tenant in ("ana", "bia"):
        till = await till_of(postgres_book, tenant)
        await till.reserve(tool("k", 5), tool("used", 2))
        await till.settle(Settlement(key="used", amount_microusd=1))
    async with session(postgres_book.owner_url) as owner:
        if not await owner.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", READER):
            await owner.execute(f"CREATE ROLE {READER} LOGIN IN ROLE malha_cost_reader")
            await owner.execute("CREATE ROLE bia_reader LOGIN IN ROLE malha_cost_reader")
            await owner.execute(f"GRANT bia_reader TO {READER}")
        await owner.execute("INSERT INTO readers VALUES ($1, 'ana'), ('bia_reader', 'bia')", READER)
    return postgres_book
