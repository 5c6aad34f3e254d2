"""How the ledger's database is reached, and whether it is there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from malha.errors import unavailable

# A server that is stopped, restarted, full, no longer the one that writes, or that lets nobody wait for long
# for a lock, and several of which none writes: whatever was asked is asked again under the same keys. The
# driver's own error is what it says between a server's last word and the end of the connection.
AWAY = (
    *(OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.OperatorInterventionError),
    *(asyncpg.InsufficientResourcesError, asyncpg.ReadOnlySQLTransactionError),
    *(asyncpg.LockNotAvailableError, asyncpg.InternalClientError),
)
NO_ADDRESS = "its address is not understood; in a user or a password / ? # and the like are written as %XX"
"""In place of what the driver says of it, which quotes a piece of the password."""
SECONDS = 10.0
"""For a connection to be made, and for a statement."""
SILENCE = "10s"
"""After which the server takes a process for gone that says nothing in the middle of a transaction, and lets
its locks go: a machine without power would keep them until TCP gives up, hours later."""

# Every query of the ledger is by key. A planner without statistics yet would rather read whole tables.
_BY_KEY = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off"}


async def connected(url: str, most: int) -> asyncpg.Pool:
    """Connections to the ledger, one at once and ``most`` in the end."""
    settings = {
        "search_path": "cost",
        "application_name": "malha-cost",
        # what is read behind a lock is what its last holder committed, whatever the database does by default
        "default_transaction_isolation": "read committed",
        "idle_in_transaction_session_timeout": SILENCE,
        **_BY_KEY,
    }
    return await asyncpg.create_pool(
        url, min_size=1, max_size=most, timeout=SECONDS, command_timeout=SECONDS, server_settings=settings
    )


@asynccontextmanager
async def reached(pool: asyncpg.Pool) -> AsyncIterator[Any]:
    """A connection. Tells of a database that is away as every part that is away is told of."""
    try:
        async with pool.acquire() as connection:
            yield connection
    except (*AWAY, TimeoutError) as error:
        if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            await pool.expire_connections()  # they are in order, and lead where nobody writes any more
        raise unavailable("the ledger's database") from error
