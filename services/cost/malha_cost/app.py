"""The wiring of the cost service."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import date
from typing import TYPE_CHECKING

from malha import lifecycle
from malha.api.common.v1.principal_pb2 import Tier
from malha.api.cost.v1.cost_service_pb2_grpc import add_CostServiceServicer_to_server
from malha.clock import SystemClock
from malha.errors import ConfigurationError, MalhaError
from malha.sqlite import Database
from malha.tasks import end
from malha.wire import Identity, Server
from malha_cost.accountant import Accountant
from malha_cost.adapters import price_file
from malha_cost.adapters.sqlite_alerts import SqliteAlerts
from malha_cost.adapters.sqlite_ledger import MIGRATIONS, SqliteLedger
from malha_cost.adapters.sqlite_usage import SqliteUsage
from malha_cost.alarms import Alarms
from malha_cost.alerts import Told
from malha_cost.budget import House
from malha_cost.judge import Judge
from malha_cost.ports import Ledger, UsageRecords
from malha_cost.prices import PriceTable
from malha_cost.servicer import CostServicer
from malha_cost.settings import Settings
from malha_cost.telling import Telling
from malha_cost.unusual import Rule
from malha_cost.watching import Rules, Watch

if TYPE_CHECKING:
    from malha_cost.adapters.postgres_alerts import PostgresAlerts

CALLERS = frozenset({"gateway", "planner", "retrieval"})


async def main(settings: Settings) -> None:
    """Serve until told to stop."""
    clock = SystemClock()
    prices = price_file.load(*filter(None, (price_file.BUNDLED, settings.price_file)))
    reference = _reference(settings.reference_model, prices, clock.now().date())
    async with AsyncExitStack() as stack:
        book, records, alerts = await _opened(settings, stack)
        told = Told()
        judge = Judge(book, prices, reference=reference, clock=clock, decided=Alarms().decided, told=told)
        accountant = Accountant(book, records, prices, clock)
        watch = Watch(
            *(book, alerts),
            rules=_unusual(settings),
            told=told,
            clock=clock,
            every=settings.watch_every_seconds,
        )
        identity = Identity.load(settings.secrets_dir, "cost")
        server = Server("cost", identity=identity, allow=CALLERS, max_concurrent=settings.max_concurrent)
        servicer = CostServicer(judge, accountant, Telling(book, alerts, clock))
        server.add(add_CostServiceServicer_to_server, servicer)
        watching = asyncio.create_task(watch.run())
        try:
            await lifecycle.serve(server, settings)
        finally:
            await end(watching)


def _reference(name: str, prices: PriceTable, today: date) -> tuple[str, str] | None:
    """What usage is compared with, which has a price."""
    if not name:
        return None
    provider, _, model = name.partition("/")
    try:
        prices.find(provider, model, today)
    except MalhaError as error:
        raise ConfigurationError(f"MALHA_COST_REFERENCE_MODEL: {error.message}") from error
    return provider, model


async def _opened(
    settings: Settings, stack: AsyncExitStack
) -> tuple[Ledger, UsageRecords, SqliteAlerts | PostgresAlerts]:
    house, url = _house(settings), settings.database_url.get_secret_value()
    if url:
        from malha_cost.adapters.postgres_ledger import PostgresLedger  # 10 MB that SQLite has no use for
        from malha_cost.adapters.postgres_usage import PostgresUsage

        ledger = await PostgresLedger.open(url, house)
        stack.push_async_callback(ledger.close)
        usage = await PostgresUsage.open(url)
        stack.push_async_callback(usage.close)
        return ledger, usage, ledger.alerts
    opened = []
    for _ in ("money", "usage"):
        database = await Database.open(settings.state_dir / "cost.db", MIGRATIONS, durable=True)
        stack.push_async_callback(database.close)
        opened.append(database)
    return SqliteLedger(opened[0], house), SqliteUsage(opened[1]), SqliteAlerts(opened[0])


def _unusual(settings: Settings) -> Rules:
    return Rules(
        hour=Rule(settings.anomaly_score, settings.anomaly_least_microusd, settings.anomaly_days),
        run=Rule(settings.runaway_score, settings.runaway_least_microusd, settings.runaway_runs),
        calls=Rule(settings.runaway_score, settings.runaway_least_calls, settings.runaway_runs),
    )


def _house(settings: Settings) -> House:
    return House(
        tenant_daily_microusd=settings.tenant_daily_microusd,
        request_microusd=settings.request_microusd,
        warn_percent=settings.warn_percent,
        brake_percent=settings.brake_percent,
        monthly_tokens={
            tier: tokens
            for tier, tokens in (
                (Tier.TIER_FREE, settings.monthly_tokens_free),
                (Tier.TIER_PRO, settings.monthly_tokens_pro),
                (Tier.TIER_ENTERPRISE, settings.monthly_tokens_enterprise),
            )
            if tokens
        },
    )
