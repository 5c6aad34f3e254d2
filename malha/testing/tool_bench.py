"""A tools service's execution over real records in a file, and a way to let its process die."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.run.v1.record_pb2 import Effect
from malha.api.tools.v1.tools_service_pb2 import ExecuteRequest, Resolution, ToolResult
from malha.clock import SystemClock
from malha.run.keys import run_id_for, step_key
from malha.testing.limits import MemoryCache
from malha.testing.tools import ToldTool
from malha_tools.adapters.result_cache import CachedResults
from malha_tools.adapters.sqlite_effects import SqliteEffectRecords
from malha_tools.execution import Execution
from malha_tools.ports import NoQuota
from malha_tools.registry import Registry


def key(step: int = 1, *, tenant: str = "acme", epoch: int = 7, leg: int = 1) -> str:
    """The key of a step of a tenant's one run."""
    return step_key(tenant, run_id_for(tenant, "run"), step, epoch, leg)


class Bench:
    """An execution of five tools, one of each effect, cached and paid, over real records in a file.

    It is open from `open` on; who opens it closes ``execution`` and ``database``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.once = ToldTool(name="once")
        self.idempotent = ToldTool(Effect.EFFECT_IDEMPOTENT, name="idempotent")
        self.read = ToldTool(Effect.EFFECT_READ, name="read", cache_ttl={"seconds": 60})
        self.plain = ToldTool(Effect.EFFECT_READ, name="plain")
        self.paid = ToldTool(name="paid", min_tier=Tier.TIER_PRO, price_microusd=70)
        self.registry = Registry([self.once, self.idempotent, self.read, self.plain, self.paid])
        self.cache = MemoryCache()

    async def open(self) -> None:
        """Also a new process over the old file: it knows nothing but what is recorded."""
        self.database = await SqliteEffectRecords.open(self._path)
        self.records = SqliteEffectRecords(self.database, SystemClock())
        self.execution = Execution(self.registry, self.records, CachedResults(self.cache), NoQuota())

    async def crash(self) -> None:
        """Lose what is under way, keep what is recorded, start anew."""
        for task in list(self.execution._flights._tasks):
            task.cancel()
        await self.execution.close()
        await self.database.close()
        await self.open()

    async def execute(
        self,
        tool: str,
        at: str,
        arguments: object = None,
        *,
        tenant: str = "acme",
        allowed: list[str] | None = None,
        tier: Tier = Tier.TIER_FREE,
        seconds: float = 5.0,
    ) -> ToolResult:
        """Call a tool, which the agent lists unless told otherwise; arguments as text go as they are."""
        request = ExecuteRequest(
            key=at,
            tool=tool,
            arguments_json=arguments if isinstance(arguments, str) else json.dumps(arguments or {}),
            allowed_tools=[tool] if allowed is None else allowed,
        )
        principal = Principal(tenant=tenant, subject="ana", tier=tier)
        return await self.execution.execute(principal, request, time.monotonic() + seconds)

    async def resolve(self, at: str) -> Resolution:
        """What became of a key of acme's."""
        response = await self.execution.resolve(Principal(tenant="acme"), at)
        return response.resolution

    async def rows(self) -> list[tuple[Any, ...]]:
        """(tenant, key, state) of each record."""
        return await self.database.read(
            lambda c: [tuple(r) for r in c.execute("SELECT tenant, key, state FROM effects ORDER BY key")]
        )
