"""The wiring of the tools service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from malha import lifecycle
from malha.api.common.v1.principal_pb2 import Tier
from malha.api.tools.v1.tools_service_pb2_grpc import add_ToolsServiceServicer_to_server
from malha.clock import Clock, SystemClock
from malha.limits.on_valkey import ValkeyCache, ValkeyRateLimiter
from malha.limits.valkey import Valkey
from malha.wire import Identity, Peer, Server
from malha_tools.adapters.result_cache import CachedResults
from malha_tools.adapters.retrieval import RetrievalKnowledge
from malha_tools.adapters.sqlite_effects import SqliteEffectRecords
from malha_tools.adapters.tier_quota import TierQuota
from malha_tools.execution import Execution
from malha_tools.loading import extra_tools
from malha_tools.ports import NoCache, NoQuota, Quota, ResultCache, Tool
from malha_tools.registry import Registry
from malha_tools.servicer import ToolsServicer
from malha_tools.settings import Settings
from malha_tools.tools.calculator import Calculator
from malha_tools.tools.gpu_prices import GpuPrices
from malha_tools.tools.search_knowledge import SearchKnowledge

CALLERS = frozenset({"planner"})


async def main(settings: Settings) -> None:
    """Serve until told to stop."""
    async with open_server(settings) as server:
        await lifecycle.serve(server, settings)


@asynccontextmanager
async def open_server(settings: Settings) -> AsyncIterator[Server]:
    """The whole service, not yet listening; everything it opened is closed after the block."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        identity = Identity.load(settings.secrets_dir, "tools")
        tools = [tool async for tool in _tools(settings, identity, clock, stack)]
        registry = Registry(
            tools, default_timeout=settings.default_timeout_seconds, concurrency=settings.concurrency
        )
        database = await SqliteEffectRecords.open(settings.state_dir / "tools.db")
        stack.push_async_callback(database.close)
        cache, quota = _limits(settings, stack)
        records = SqliteEffectRecords(database, clock)
        execution = Execution(registry, records, cache, quota)
        stack.push_async_callback(execution.close)
        server = Server("tools", identity=identity, allow=CALLERS, max_concurrent=settings.max_concurrent)
        server.add(add_ToolsServiceServicer_to_server, ToolsServicer(registry, execution, records))
        yield server


async def _tools(
    settings: Settings, identity: Identity, clock: Clock, stack: AsyncExitStack
) -> AsyncIterator[Tool]:
    """The tools that ship, as far as what they need is there, and those of the settings."""
    yield Calculator()
    if settings.retrieval_target:
        retrieval = Peer("retrieval", settings.retrieval_target, identity=identity)
        stack.push_async_callback(retrieval.close)
        yield SearchKnowledge(RetrievalKnowledge(retrieval))
    if settings.price_providers:
        from malha_tools.adapters.price_endpoints import http_price_providers  # 7 MB that others do not need

        providers = await stack.enter_async_context(http_price_providers(settings.price_providers))
        yield GpuPrices(providers, clock)
    for tool in extra_tools(settings.extra_tools):
        yield tool


def _limits(settings: Settings, stack: AsyncExitStack) -> tuple[ResultCache, Quota]:
    if not settings.valkey_url:
        return NoCache(), NoQuota()
    valkey = Valkey(settings.valkey_url)
    stack.push_async_callback(valkey.close)
    per_minute = {
        Tier.TIER_FREE: settings.calls_per_minute_free,
        Tier.TIER_PRO: settings.calls_per_minute_pro,
        Tier.TIER_ENTERPRISE: settings.calls_per_minute_enterprise,
    }
    return CachedResults(ValkeyCache(valkey)), TierQuota(ValkeyRateLimiter(valkey), per_minute)
