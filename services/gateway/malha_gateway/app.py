"""Every part of the gateway, and how they hang together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from google.protobuf.duration_pb2 import Duration

from malha import lifecycle
from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.cost.v1.budget_pb2 import BudgetStatus
from malha.api.gateway.v1.admin_service_pb2_grpc import add_AdminServiceServicer_to_server
from malha.api.gateway.v1.agent_service_pb2_grpc import add_AgentServiceServicer_to_server
from malha.api.gateway.v1.alert_service_pb2_grpc import add_AlertServiceServicer_to_server
from malha.api.gateway.v1.billing_service_pb2_grpc import add_BillingServiceServicer_to_server
from malha.api.gateway.v1.event_stream_service_pb2_grpc import add_EventStreamServiceServicer_to_server
from malha.api.gateway.v1.health_service_pb2_grpc import add_HealthServiceServicer_to_server
from malha.api.gateway.v1.knowledge_service_pb2_grpc import add_KnowledgeServiceServicer_to_server
from malha.api.gateway.v1.operator_service_pb2_grpc import add_OperatorServiceServicer_to_server
from malha.api.gateway.v1.run_service_pb2_grpc import add_RunServiceServicer_to_server
from malha.api.gateway.v1.tenant_service_pb2_grpc import add_TenantServiceServicer_to_server
from malha.api.gateway.v1.usage_service_pb2_grpc import add_UsageServiceServicer_to_server
from malha.api.gateway.v1.webhook_service_pb2_grpc import add_WebhookServiceServicer_to_server
from malha.api.run.v1.record_pb2 import RunLimits
from malha.clock import Clock, SystemClock
from malha.limits.on_valkey import ValkeyRateLimiter
from malha.limits.valkey import Valkey
from malha.run import JournalWithArchive, Sealer
from malha.run.nats_journal import (
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
from malha_gateway.adapters.cost import CostPeer
from malha_gateway.adapters.event_feed import NatsEventFeed
from malha_gateway.adapters.guard import GuardPeer
from malha_gateway.adapters.key_store import SqliteKeyStore
from malha_gateway.adapters.parts import NatsPart, ServicePart, ValkeyPart
from malha_gateway.adapters.planner import PlannerPeer
from malha_gateway.adapters.retrieval import RetrievalPeer
from malha_gateway.adapters.tenant_store import SqliteTenantStore
from malha_gateway.adapters.webhook_store import SqliteWebhooks
from malha_gateway.administration import Administration
from malha_gateway.approvals import Approvals
from malha_gateway.authentication import Authenticator, import_development_key, read_development_key
from malha_gateway.billing import Billing
from malha_gateway.dead import DeadRuns
from malha_gateway.delivering import Delivering, Manners
from malha_gateway.entrance import Entrance, House
from malha_gateway.following import Following
from malha_gateway.places import Places
from malha_gateway.ports import Sender
from malha_gateway.rates import Rates
from malha_gateway.readiness import Readiness
from malha_gateway.remembered import Remembered
from malha_gateway.revocation import Revocation
from malha_gateway.runs import Runs
from malha_gateway.sending import Sending
from malha_gateway.servicer.admin import AdminServicer
from malha_gateway.servicer.knowledge import KnowledgeServicer
from malha_gateway.servicer.operator import OperatorServicer, TenantServicer
from malha_gateway.servicer.outside import BillingServicer, HealthServicer
from malha_gateway.servicer.runs import AgentServicer, EventStreamServicer, RunServicer
from malha_gateway.servicer.spending import AlertServicer, UsageServicer
from malha_gateway.servicer.streams import Streams
from malha_gateway.servicer.webhooks import WebhookServicer
from malha_gateway.settings import Settings
from malha_gateway.view import View
from malha_gateway.webhook_address import Reach
from malha_gateway.webhooks import Webhooks

_MIGRATIONS = Path(__file__).parent / "migrations"
_AGENTS_FRESH = 5.0
_AGENTS_WHEN_AWAY = 60.0  # the planner's absence stops no run without a key from being accepted
_BUDGETS_FRESH = 1.0  # never older: what is left to spend is not for guessing


async def main(settings: Settings, *, stop: asyncio.Event | None = None) -> None:
    """Serve until told to stop."""
    async with AsyncExitStack() as stack:
        clock = SystemClock()
        identity = Identity.load(settings.secrets_dir, "gateway")

        database = await Database.open(settings.database, _MIGRATIONS, durable=True)
        stack.push_async_callback(database.close)
        keys = SqliteKeyStore(database)
        if settings.bootstrap_key_file:
            api_key = await asyncio.to_thread(read_development_key, Path(settings.bootstrap_key_file))
            await import_development_key(keys, api_key, clock)

        nats = await connect(
            settings.nats_url,
            name="gateway",
            user=settings.nats_user,
            password=settings.nats_password.get_secret_value(),
        )
        stack.push_async_callback(nats.close)
        await ensure_streams(nats)
        master_key = await asyncio.to_thread(read_master_key, settings.secrets_dir / "master.key")
        key_ring = NatsKeyRing(nats, master_key)
        await key_ring.listen()
        sealer = Sealer(key_ring)
        view = View(sealer)

        valkey = Valkey(settings.valkey_url)
        stack.push_async_callback(valkey.close)

        def peer(callee: str, target: str) -> Peer:
            # all that is asked from here may be asked again, and callers want to know when
            made = Peer(callee, target, identity=identity, silence_is_absence=True)
            stack.push_async_callback(made.close)
            return made

        guard_peer = peer("guard", settings.guard_target)
        planner_peer = peer("planner", settings.planner_target)
        cost_peer = peer("cost", settings.cost_target)
        retrieval_peer = peer("retrieval", settings.retrieval_target)
        guard, planner = GuardPeer(guard_peer), PlannerPeer(planner_peer)
        cost, retrieval = CostPeer(cost_peer), RetrievalPeer(retrieval_peer)
        journal = JournalWithArchive(NatsJournal(nats, clock=clock), planner)

        readiness = Readiness(
            [
                NatsPart(nats),
                ValkeyPart(valkey),
                *map(ServicePart, (guard_peer, planner_peer, cost_peer, retrieval_peer)),
            ],
            clock,
        )
        authenticator = Authenticator(keys, clock, memory_seconds=settings.key_memory_seconds)
        rates = Rates(
            ValkeyRateLimiter(valkey),
            {
                Tier.TIER_FREE: settings.free_rate,
                Tier.TIER_PRO: settings.pro_rate,
                Tier.TIER_ENTERPRISE: settings.enterprise_rate,
            },
            tenant_factor=settings.tenant_rate_factor,
        )

        async def authenticate(metadata: Mapping[str, str]) -> Principal:
            principal = await authenticator.principal(metadata)
            await rates.count(principal)
            return principal

        budgets: Remembered[tuple[str, str], Sequence[BudgetStatus]] = Remembered(clock, fresh=_BUDGETS_FRESH)
        entrance = Entrance(
            journal=journal,
            sealer=sealer,
            guard=guard,
            planner=planner,
            cost=cost,
            agents=Remembered(clock, fresh=_AGENTS_FRESH, when_away=_AGENTS_WHEN_AWAY),
            budgets=budgets,
            readiness=readiness,
            house=House(settings.max_input_characters, _limits(settings)),
            clock=clock,
        )
        runs = Runs(entrance=entrance, journal=journal, sealer=sealer, view=view, guard=guard, clock=clock)
        approvals = Approvals(
            journal=journal, sealer=sealer, view=view, guard=guard, planner=planner, clock=clock
        )
        following = await stack.enter_async_context(
            Following(journal, NatsDeltas(nats), view, acting_for, patience=settings.reader_patience_seconds)
        )
        places = Places(settings.tenant_max_streams)
        streams = Streams(following, places, authenticator.principal, heartbeat=settings.heartbeat_seconds)
        administration = Administration(keys, authenticator, clock)
        revocation = Revocation(
            administration, planner, runs, acting_for, clock, memory_seconds=settings.key_memory_seconds
        )

        reach = Reach(settings.webhook_networks)

        def open_sender() -> Sender:
            from malha_gateway.adapters.webhook_sender import HttpSender  # 8 MB that few gateways need

            return HttpSender(reach)

        events, hooks = NatsEventFeed(nats), SqliteWebhooks(database)
        sending = Sending(sealer, open_sender, clock)
        stack.push_async_callback(sending.close)
        delivering = Delivering(hooks, events, sending, clock, _manners(settings))
        webhooks = Webhooks(hooks, events, sending, reach, clock, made=delivering.look)
        delivery = asyncio.create_task(delivering.run())
        stack.push_async_callback(end, delivery)

        server = Server(
            "gateway",
            authenticate=authenticate,
            max_concurrent=settings.max_concurrent,
            ask_seconds=settings.ask_seconds,
        )
        server.add(
            add_RunServiceServicer_to_server,
            RunServicer(runs, approvals, planner, streams, places),
        )
        server.add(add_EventStreamServiceServicer_to_server, EventStreamServicer(streams))
        server.add(
            add_KnowledgeServiceServicer_to_server,
            KnowledgeServicer(retrieval, max_document_bytes=settings.max_document_bytes),
        )
        server.add(add_AgentServiceServicer_to_server, AgentServicer(entrance))
        server.add(
            add_AdminServiceServicer_to_server,
            AdminServicer(administration, revocation, cost, budgets, planner),
        )
        server.add(add_UsageServiceServicer_to_server, UsageServicer(cost))
        server.add(add_AlertServiceServicer_to_server, AlertServicer(cost))
        server.add(add_WebhookServiceServicer_to_server, WebhookServicer(webhooks, places))
        dead = DeadRuns(journal=journal, sealer=sealer, view=view, guard=guard, planner=planner, clock=clock)
        server.add(add_OperatorServiceServicer_to_server, OperatorServicer(dead))
        billing = _billing(settings, database, clock)
        server.add(add_BillingServiceServicer_to_server, BillingServicer(billing), allow="public")
        server.add(add_TenantServiceServicer_to_server, TenantServicer(billing))
        server.add(add_HealthServiceServicer_to_server, HealthServicer(readiness), allow="public")
        await lifecycle.serve(server, settings, stop=stop)


def _billing(settings: Settings, database: Database, clock: Clock) -> Billing:
    return Billing(
        SqliteTenantStore(database),
        clock,
        secrets=[
            *filter(None, map(str.strip, settings.stripe_webhook_secrets.get_secret_value().split(",")))
        ],
        tiers=settings.tiers(),
        grace=timedelta(days=settings.stripe_grace_days),
        memory_seconds=settings.key_memory_seconds,
    )


def _manners(settings: Settings) -> Manners:
    return Manners(
        retry_seconds=settings.webhook_retry_seconds,
        give_up=timedelta(days=settings.webhook_give_up_days),
        disable_after=timedelta(days=settings.webhook_disable_days),
        waiting=settings.webhook_most_waiting,
    )


def _limits(settings: Settings) -> RunLimits:
    return RunLimits(
        max_iterations=settings.default_max_iterations,
        max_cost_microusd=settings.default_max_cost_microusd,
        max_wall_time=Duration(seconds=settings.default_max_wall_seconds),
        max_output_tokens=settings.default_max_output_tokens,
        max_model_time=Duration(seconds=settings.default_max_model_seconds),
    )
