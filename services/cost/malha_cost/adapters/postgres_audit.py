"""An audit of the ledger in PostgreSQL: one read-only transaction that sees one moment."""

from __future__ import annotations

import asyncpg

from malha_cost.adapters.postgres_reach import NO_ADDRESS
from malha_cost.adapters.sqlite_audit import UnreadableError
from malha_cost.auditing import ENTRIES, FINER_BALANCES, METERED, TOTALS, USAGE, Audit, differences
from malha_cost.ledger import Entry

_AT_ONCE = 2_000


async def read(url: str) -> Audit:
    """Audit the database.

    Args:
        url: of a login that may read all rows: the service's, or the owner's.

    Raises:
        UnreadableError: with a text for whoever asked.
    """
    audit = Audit()
    try:
        try:
            connection = await asyncpg.connect(url, server_settings={"search_path": "cost"}, timeout=10)
        except ValueError:
            raise UnreadableError(f"the ledger cannot be read: {NO_ADDRESS}") from None
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                cursor = await connection.cursor(ENTRIES)
                while rows := await cursor.fetch(_AT_ONCE):
                    audit.take(Entry(*row) for row in rows)
                for scope, query in differences():
                    audit.take_differences(scope, await connection.fetch(query))
                audit.take_totals(await connection.fetch(TOTALS))
                audit.take_usage(await connection.fetch(USAGE), await connection.fetch(METERED))
                audit.finish(await connection.fetch(FINER_BALANCES))
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise UnreadableError(f"the ledger cannot be read ({error})") from error
    return audit
