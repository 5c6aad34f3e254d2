"""Runs the migrations on the connection it is given, by :mod:`malha_cost.adapters.postgres_schema`."""

from alembic import context
from sqlalchemy import text

connection = context.config.attributes["connection"]
connection.execute(text("CREATE SCHEMA IF NOT EXISTS cost"))  # the table of versions is in it, too
context.configure(connection=connection, version_table_schema="cost")
with context.begin_transaction():
    context.run_migrations()
