"""The wiring of retrieval."""

from __future__ import annotations

from contextlib import AsyncExitStack

from malha import lifecycle
from malha.api.retrieval.v1.retrieval_service_pb2_grpc import add_RetrievalServiceServicer_to_server
from malha.clock import SystemClock
from malha.sqlite import Database
from malha.wire import Identity, Server
from malha_retrieval.adapters.sqlite_index import MIGRATIONS, SqliteIndex
from malha_retrieval.servicer import RetrievalServicer
from malha_retrieval.settings import Settings

CALLERS = frozenset({"gateway", "planner", "tools"})


async def main(settings: Settings) -> None:
    """Serve until told to stop."""
    async with AsyncExitStack() as stack:
        # what a power cut takes is taken in again by sending the documents again
        database = await Database.open(settings.state_dir / "retrieval.db", MIGRATIONS, durable=False)
        stack.push_async_callback(database.close)
        index = SqliteIndex(database, SystemClock())
        identity = Identity.load(settings.secrets_dir, "retrieval")
        server = Server("retrieval", identity=identity, allow=CALLERS, max_concurrent=settings.max_concurrent)
        server.add(add_RetrievalServiceServicer_to_server, RetrievalServicer(index))
        await lifecycle.serve(server, settings)
