"""Tool results in the mesh's cache, under keys that begin with the tenant."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from malha.api.common.v1.principal_pb2 import Tier
from malha.api.tools.v1.tools_service_pb2 import ToolResult
from malha.limits.cache import Cache, Key, tenant_key
from malha_tools.ports import Question


class CachedResults:
    """See :class:`malha_tools.ports.ResultCache`. Fails open: an absent store is a miss."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def get(self, question: Question) -> ToolResult | None:
        kept = await self._cache.get(_key(question))
        if kept is None:
            return None
        try:
            return ToolResult.FromString(kept)
        except DecodeError:
            return None  # written by another version: as good as forgotten

    async def keep(self, question: Question, result: ToolResult, seconds: float) -> None:
        await self._cache.set(_key(question), result.SerializeToString(), seconds)


def _key(question: Question) -> Key:
    tier = Tier.Name(question.tier)
    return tenant_key(
        question.tenant, "tool_result", tier, question.tool, question.version, question.arguments_hash
    )
