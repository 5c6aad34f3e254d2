"""What was used, from the ledger in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from malha.api.cost.v1.usage_pb2 import UsageGroup, UsageRow
from malha_cost.adapters import usage_statements as sql
from malha_cost.adapters.postgres_reach import reached
from malha_cost.days import Days
from malha_cost.ledger import Entry
from malha_cost.ports import DayFigures

_SECONDS = 30.0
# Records are few and lead to their entries by key: to read all entries instead never pays.
_BY_KEY = {"enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off"}


class PostgresUsage:
    """Implements :class:`malha_cost.ports.UsageRecords`, on connections of its own: a report that reads for
    long then keeps none from those who ask for money.

    Open with :meth:`open`, close with :meth:`close`.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: str) -> PostgresUsage:
        """Be ready to connect, once somebody asks."""
        settings = {"search_path": "cost", "application_name": "malha-cost-usage", **_BY_KEY}
        pool = asyncpg.create_pool(
            url, min_size=0, max_size=2, command_timeout=_SECONDS, server_settings=settings
        )
        return cls(await pool)

    async def close(self) -> None:
        """Let the connections go."""
        await self._pool.close()

    async def grouped(self, tenant: str | None, group: UsageGroup, days: Days) -> list[UsageRow]:
        whose = () if tenant is None else (tenant,)
        rows = await self._rows(sql.grouped(group, everybody=tenant is None), *days, *whose)
        return [sql.row(row) for row in rows]

    async def figures(self, tenant: str, day: str, lengths: Sequence[int]) -> DayFigures:
        async with (
            reached(self._pool) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            span = await connection.fetchrow(sql.SPAN, tenant, day)
            found = [
                await connection.fetch(query, tenant, day, *span, *further)
                for query, further in sql.day(lengths)
            ]
            return sql.figures(*found)

    async def last(self, tenant: str) -> int:
        [(last,)] = await self._rows(sql.LAST, tenant)
        return int(last)

    async def between(
        self, tenant: str, after: int, end: int, days: Days, most: int
    ) -> list[tuple[int, Entry]]:
        rows = await self._rows(sql.BETWEEN, tenant, after, end, *days, most)
        return [(row[0], Entry(*row[1:])) for row in map(tuple, rows)]

    async def _rows(self, query: str, *values: object) -> Sequence[Sequence[Any]]:
        async with reached(self._pool) as connection:
            found: Sequence[Sequence[Any]] = await connection.fetch(query, *values)
            return found
