"""A ledger in each database there is, made to be opened, lost and looked into."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import asyncpg

from malha.sqlite import Database
from malha.testing.postgres import Postgres
from malha_cost.adapters.postgres_alerts import PostgresAlerts
from malha_cost.adapters.postgres_ledger import PostgresLedger
from malha_cost.adapters.postgres_schema import migrate
from malha_cost.adapters.postgres_usage import PostgresUsage
from malha_cost.adapters.sqlite_alerts import SqliteAlerts
from malha_cost.adapters.sqlite_ledger import MIGRATIONS, SqliteLedger
from malha_cost.adapters.sqlite_usage import SqliteUsage
from malha_cost.budget import House
from malha_cost.ports import Ledger, UsageRecords

_NUMBERS = itertools.count(1)
SERVICE = "service"
_TEMPLATE = "ledger"


class Book(Protocol):
    """Where one ledger is kept."""

    async def open(self, house: House) -> Ledger:
        """The ledger, as a process that starts finds it."""
        ...

    @property
    def alerts(self) -> SqliteAlerts | PostgresAlerts:
        """The alerts of the ledger that was opened last."""

    async def usage(self) -> UsageRecords:
        """What was used under it, once it is open."""
        ...

    async def close(self) -> None:
        """That process is gone; what was answered stays."""
        ...

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the database itself holds."""
        ...


class SqliteBook:
    """On a file of a folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "cost.db"
        self._database: Database | None = None

    async def open(self, house: House) -> Ledger:
        self._database = await Database.open(self.path, MIGRATIONS, durable=False)
        return SqliteLedger(self._database, house)

    @property
    def alerts(self) -> SqliteAlerts:
        assert self._database is not None
        return SqliteAlerts(self._database)

    async def usage(self) -> UsageRecords:
        assert self._database is not None
        return SqliteUsage(self._database)

    async def close(self) -> None:
        if self._database is not None:
            await self._database.close()

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        assert self._database is not None
        return await self._database.read(lambda connection: [tuple(row) for row in connection.execute(query)])


class PostgresBook:
    """In a database of its own on a shared server."""

    def __init__(self, url: str, owner_url: str) -> None:
        self.url = url
        self.owner_url = owner_url
        self._open: list[PostgresLedger | PostgresUsage] = []

    async def open(self, house: House) -> Ledger:
        ledger = await PostgresLedger.open(self.url, house)
        self._open.append(ledger)
        return ledger

    @property
    def alerts(self) -> PostgresAlerts:
        ledgers = [one for one in self._open if isinstance(one, PostgresLedger)]
        return ledgers[-1].alerts

    async def usage(self) -> UsageRecords:
        usage = await PostgresUsage.open(self.url)
        self._open.append(usage)
        return usage

    async def close(self) -> None:
        while self._open:
            await self._open.pop().close()

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(self.owner_url, server_settings={"search_path": "cost"})
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()


class PostgresShelf:
    """A server with a migrated database to copy; each book is a copy."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self._prepared = False

    @asynccontextmanager
    async def book(self) -> AsyncIterator[PostgresBook]:
        """A new, empty ledger."""
        if not self._prepared:
            await self._prepare()
        name = f"book_{next(_NUMBERS)}"
        await self._said(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY FILE_COPY")
        book = PostgresBook(self.server.url(name, SERVICE), self.server.url(name))
        try:
            yield book
        finally:
            await book.close()
            await self._said(f"DROP DATABASE {name} WITH (FORCE)")

    async def _prepare(self) -> None:
        """Make what is copied, and the service's login."""
        self._prepared = True
        await self._said(f"CREATE DATABASE {_TEMPLATE}")
        await migrate(self.server.url(_TEMPLATE))
        await self._said(f"CREATE ROLE {SERVICE} LOGIN IN ROLE malha_cost")

    async def _said(self, statement: str) -> None:
        connection = await asyncpg.connect(self.server.url())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
