"""The schema in PostgreSQL, by Alembic: ``python -m malha_cost.adapters.postgres_schema URL``.

Run by an operator, as a role that may create schemas and roles, before a version is put in place. The
service's own role may do neither; so it only looks whether the schema is there.
"""

from __future__ import annotations

import argparse
import asyncio
from functools import partial
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

HERE = Path(__file__).parent / "postgres_migrations"


async def migrate(url: str, *, to: str = "head") -> None:
    """Bring the database at ``url`` (postgresql://...) up to date, or to an earlier revision."""
    # the driver reads the address, as the service has it do: SQLAlchemy knows no sslmode, for one
    engine = create_async_engine("postgresql+asyncpg://", async_creator=partial(asyncpg.connect, url))
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade, to)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, to: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Bring the ledger's schema in PostgreSQL up to date.")
    parser.add_argument("url", help="postgresql://..., of a role that may create schemas and roles")
    asyncio.run(migrate(parser.parse_args().url))
