"""What was used, from the ledger's file."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from malha.api.cost.v1.usage_pb2 import UsageGroup, UsageRow
from malha.sqlite import Database
from malha_cost.adapters import usage_statements as sql
from malha_cost.days import Days
from malha_cost.ledger import Entry
from malha_cost.ports import DayFigures


class SqliteUsage:
    """Implements :class:`malha_cost.ports.UsageRecords`.

    Args:
        database: the ledger's file, opened once more: a report that reads for long then keeps no reader
            from those who ask for budgets.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def grouped(self, tenant: str | None, group: UsageGroup, days: Days) -> list[UsageRow]:
        whose = () if tenant is None else (tenant,)
        rows = await self._rows(sql.grouped(group, everybody=tenant is None), *days, *whose)
        return [sql.row(row) for row in rows]

    async def figures(self, tenant: str, day: str, lengths: Sequence[int]) -> DayFigures:
        def work(connection: sqlite3.Connection) -> list[list[Any]]:
            connection.execute("BEGIN")  # all of them see one moment
            try:
                span = connection.execute(_own(sql.SPAN), (tenant, day)).fetchone()
                return [
                    connection.execute(_own(query), (tenant, day, *span, *further)).fetchall()
                    for query, further in sql.day(lengths)
                ]
            finally:
                connection.execute("ROLLBACK")

        return sql.figures(*await self._database.read(work))

    async def last(self, tenant: str) -> int:
        [(last,)] = await self._rows(sql.LAST, tenant)
        return int(last)

    async def between(
        self, tenant: str, after: int, end: int, days: Days, most: int
    ) -> list[tuple[int, Entry]]:
        rows = await self._rows(sql.BETWEEN, tenant, after, end, *days, most)
        return [(row[0], Entry(*row[1:])) for row in rows]

    async def _rows(self, query: str, *values: object) -> Sequence[Sequence[Any]]:
        return await self._database.read(
            lambda connection: [tuple(row) for row in connection.execute(_own(query), values)]
        )


def _own(query: str) -> str:
    """The query with parameters as SQLite numbers them."""
    return query.replace("$", "?")
