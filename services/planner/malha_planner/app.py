"""Every part of the planner, and how they hang together."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

from malha import ids, lifecycle
from malha.api.planner.v1.planner_service_pb2_grpc import add_PlannerServiceServicer_to_server
from malha.clock import SystemClock
from malha.errors import ConfigurationError
from malha.run import JournalWithArchive, Sealer
from malha.run.nats_journal import (
    Connection,
    NatsDeltas,
    NatsJournal,
    NatsKeyRing,
    connect,
    ensure_streams,
    read_master_key,
)
from malha.sqlite import Database
from malha.tasks import end
from malha.wire import Identity, Peer, Server, acting_for
from malha_planner.adapters.agent_files import SHIPPED, read_agents
from malha_planner.adapters.archive import SqliteArchive
from malha_planner.adapters.database_files import DatabaseFiles
from malha_planner.adapters.erasing_streams import NatsStreams
from malha_planner.adapters.event_stream import NatsAnnouncer
from malha_planner.adapters.guard import GuardPeer
from malha_planner.adapters.ledger import CostLedger
from malha_planner.adapters.openai_model import open_server
from malha_planner.adapters.pipeline import Pipeline
from malha_planner.adapters.presence import NatsPresence
from malha_planner.adapters.record_feed import NatsRecordFeed
from malha_planner.adapters.runs_table import MIGRATIONS, SqliteRunsTable
from malha_planner.adapters.toolbox import ToolsPeer
from malha_planner.adapters.waker import NatsWaker
from malha_planner.adapters.work_stream import NatsWork
from malha_planner.agents import Catalogue
from malha_planner.alerting import Alerter
from malha_planner.archiving import Archivist
from malha_planner.erase_requests import EraseRequests
from malha_planner.erasing import Eraser
from malha_planner.follower import Follower
from malha_planner.lanes import Lanes
from malha_planner.models.registry import open_models
from malha_planner.ports import Boundaries, NoBoundaries
from malha_planner.servicer import PlannerServicer
from malha_planner.settings import Settings
from malha_planner.sweeping import Sweeper
from malha_planner.worker import Worker

CALLERS = frozenset({"gateway"})


async def main(
    settings: Settings, *, boundaries: Boundaries | None = None, stop: asyncio.Event | None = None
) -> None:
    """Serve, work and follow until told to stop.

    Args:
        boundaries: tests provoke crashes at the boundaries of a run's writes.
    """
    stop = stop or asyncio.Event()
    async with AsyncExitStack() as stack:
        clock = SystemClock()
        identity = Identity.load(settings.secrets_dir, "planner")

        models = open_models(settings, open_server)
        for model in models.values():
            stack.push_async_callback(model.close)
        agents = read_agents(settings.agents_dir or SHIPPED, default_model=settings.default_model)
        catalogue = Catalogue(agents, default=settings.default_agent)
        if unknown := catalogue.models() - set(models):
            missing = ", ".join(sorted(unknown))
            raise ConfigurationError(f"agents name models that no provider opened: {missing}")

        database = await Database.open(settings.state_dir / "planner.db", MIGRATIONS, durable=False)
        stack.push_async_callback(database.close)
        table = SqliteRunsTable(database)

        async def connected(*, echo: bool) -> Connection:
            made = await connect(
                settings.nats_url,
                name="planner",
                user=settings.nats_user,
                password=settings.nats_password.get_secret_value(),
                echo=echo,
            )
            stack.push_async_callback(made.close)
            return made

        nats = await connected(echo=True)
        await ensure_streams(nats)
        master_key = await asyncio.to_thread(read_master_key, settings.secrets_dir / "master.key")
        keys = NatsKeyRing(nats, master_key)
        await keys.listen()
        archive_database = await SqliteArchive.open(settings.state_dir / "archive.db")
        stack.push_async_callback(archive_database.close)
        shelf = SqliteArchive(archive_database)
        # a connection of its own, so that what the workers write does not ring their own doorbells
        stream_journal = NatsJournal(await connected(echo=False), clock=clock)
        journal = JournalWithArchive(stream_journal, shelf)
        pipeline = Pipeline(nats)
        stack.push_async_callback(pipeline.close)

        def peer(callee: str, target: str) -> Peer:
            made = Peer(callee, target, identity=identity)
            stack.push_async_callback(made.close)
            return made

        ledger = CostLedger(peer("cost", settings.cost_target))
        tools = ToolsPeer(peer("tools", settings.tools_target), clock)
        worker = Worker(
            name=f"planner-{ids.ulid()}",
            journal=journal,
            sealer=Sealer(keys),
            catalogue=catalogue,
            models=models,
            ledger=ledger,
            toolbox=tools,
            guard=GuardPeer(peer("guard", settings.guard_target)),
            deltas=NatsDeltas(nats),
            acting=acting_for,
            boundaries=boundaries or NoBoundaries(),
            clock=clock,
            ack_wait=settings.ack_wait_seconds,
            leaving=stop,
        )

        shares = {str(name): part for name, part in settings.class_shares.items()}

        def cap(tenant: str) -> int:
            return settings.tenant_concurrencies.get(tenant, settings.tenant_concurrency)

        work = NatsWork(
            nats,
            Lanes(settings.concurrency, shares, cap),
            cap=cap,
            ack_wait=settings.ack_wait_seconds,
        )
        waker = NatsWaker(pipeline)
        streams = NatsStreams(nats)
        disk = DatabaseFiles(settings.state_dir / "planner.db", settings.state_dir / "archive.db")
        archivist = Archivist(
            journal=stream_journal,
            shelf=shelf,
            table=table,
            streams=streams,
            waker=waker,
            clock=clock,
            after=timedelta(seconds=settings.archive_after_seconds),
        )
        recording = asyncio.Lock()
        eraser = Eraser(
            journal=stream_journal,
            shelf=shelf,
            erasures=shelf,
            table=table,
            streams=streams,
            effects=tools,
            acting=acting_for,
            recording=recording,
            disk=disk,
            clock=clock,
        )
        sweeper = Sweeper(
            journal=journal,
            ledger=ledger,
            acting=acting_for,
            clock=clock,
            after=timedelta(seconds=settings.sweep_after_seconds),
        )
        alerter = Alerter(
            journal=stream_journal,
            alerts=ledger,
            streams=streams,
            acting=acting_for,
            recording=recording,
            clock=clock,
        )
        requests = EraseRequests(
            journal=stream_journal,
            shelf=shelf,
            erasures=shelf,
            table=table,
            keys=keys,
            disk=disk,
            clock=clock,
        )
        follower = Follower(
            journal=journal,
            feed=NatsRecordFeed(nats),
            announcer=NatsAnnouncer(nats, pipeline),
            waker=waker,
            presence=NatsPresence(nats),
            table=table,
            clock=clock,
            ack_wait=settings.ack_wait_seconds,
            lead_every=settings.lead_every_seconds,
            chores=[archivist, eraser, sweeper, alerter],
        )
        server = Server("planner", identity=identity, allow=CALLERS)
        server.add(add_PlannerServiceServicer_to_server, PlannerServicer(catalogue, table, shelf, requests))

        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(follower.run())
            working = tasks.create_task(work.serve(worker.handle, stop, grace=settings.grace_seconds))
            await lifecycle.serve(server, settings, stop=stop)
            await working
            await end(following)
