"""Whether the database is there."""

from __future__ import annotations

import asyncpg

from malha.errors import unavailable

# A server that is stopped, restarted, full, or no longer the one that writes: whatever was asked is asked
# again under the same keys.
AWAY = (
    *(OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.OperatorInterventionError),
    *(asyncpg.InsufficientResourcesError, asyncpg.ReadOnlySQLTransactionError),
)


class reachable:  # noqa: N801  # reads as a statement
    """Tells of a database that is away as every part that is away is told of."""

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (*AWAY, TimeoutError)):
            raise unavailable("the ledger's database") from error
