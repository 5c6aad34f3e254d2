"""A call of a tool, from the right to make it to the record of what came of it.

Access first, then the record, then the act: nothing runs that was not begun durably, and nothing is
answered that was not recorded. Repeatable tools go the same way as others; their "begun" costs what
looking the key up would cost, and a key that Resolve has closed stays closed for them too.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from typing import Any

import orjson

from malha.api.common.v1.principal_pb2 import Principal
from malha.api.run.v1.record_pb2 import Clearance
from malha.api.run.v1.record_pb2 import Effect as EffectKind
from malha.api.tools.v1.tools_service_pb2 import (
    ExecuteRequest,
    Resolution,
    ResolveResponse,
    ToolResult,
)
from malha.errors import ErrorReason, MalhaError, invalid
from malha.run.keys import StepKey, parse_step_key
from malha.telemetry import metrics
from malha_tools.acting import act
from malha_tools.clearing import check_clearance
from malha_tools.flights import Flights
from malha_tools.ports import Effect, EffectRecords, Fate, Question, Quota, ResultCache
from malha_tools.registry import Entry, Registry
from malha_tools.results import UNREADABLE, misfit

# Kept back of the caller's deadline, so that the outcome can be recorded and told before it.
_RESERVE = 0.1
_LONG_NUMBER = re.compile(r"\d{19}")


class Execution:
    """Execute and Resolve, over the tools of a registry."""

    def __init__(self, registry: Registry, records: EffectRecords, cache: ResultCache, quota: Quota) -> None:
        self._registry = registry
        self._records = records
        self._cache = cache
        self._quota = quota
        self._flights = Flights()

    async def execute(self, principal: Principal, request: ExecuteRequest, deadline: float) -> ToolResult:
        """Run a tool once under its key, or answer what came of it before.

        Args:
            principal: whom it is for.
            request: as ToolsService.Execute promises.
            deadline: ``time.monotonic()`` at which the caller's call is over.

        Raises:
            MalhaError: TOOL_NOT_FOUND, FIELD_INVALID (the key), RATE_LIMITED, OVERLOADED,
                EFFECT_TOMBSTONED, IDEMPOTENCY_CONFLICT, OUTCOME_UNKNOWN, APPROVAL_REQUIRED,
                APPROVAL_MISMATCH.
        """
        entry = self._registry.reach(request.tool, principal.tier, request.allowed_tools)
        step = _own(principal, request.key)
        arguments, canonical = _parsed(request.arguments_json)
        effect = Effect(
            principal.tenant,
            request.key,
            entry.name,
            entry.contract.effect,
            hashlib.sha256(entry.name.encode() + b"\0" + canonical).digest(),
        )

        async def carry_out() -> ToolResult:
            try:
                return await self._carry_out(
                    entry, effect, step, arguments, request.clearance, principal, deadline - _RESERVE
                )
            except MalhaError:
                # it says that nothing ran, and a caller whose first answer was lost must not hear it
                # (the rate, the leave or the schema may have changed since) where something did
                if (recorded := await self._records.recall(effect)) is not None:
                    return recorded
                raise

        return await self._flights.join(
            effect, carry_out, stoppable=entry.contract.effect == EffectKind.EFFECT_READ
        )

    async def resolve(self, principal: Principal, key: str) -> ResolveResponse:
        """What became of a key whose caller was lost. Waits for an act under way, as long as it is let.

        Raises:
            MalhaError: FIELD_INVALID (the key).
        """
        _own(principal, key)
        await self._flights.landed(principal.tenant, key)
        found = await self._records.resolve(principal.tenant, key)
        if found is Fate.UNKNOWN:
            # It may have begun just now, after the first look: then its end is worth waiting for.
            await self._flights.landed(principal.tenant, key)
            found = await self._records.resolve(principal.tenant, key)
        if found is Fate.TOMBSTONED:
            return ResolveResponse(resolution=Resolution.RESOLUTION_TOMBSTONED)
        if found is Fate.UNKNOWN:
            return ResolveResponse(resolution=Resolution.RESOLUTION_UNKNOWN)
        return ResolveResponse(resolution=Resolution.RESOLUTION_RESULT, result=found)

    async def close(self) -> None:
        """Wait for what is under way."""
        await self._flights.close()

    async def _carry_out(
        self,
        entry: Entry,
        effect: Effect,
        step: StepKey,
        arguments: Any,
        clearance: Clearance,
        principal: Principal,
        until: float,
    ) -> ToolResult:
        if faults := [UNREADABLE] if isinstance(arguments, str) else entry.arguments.faults(arguments):
            if (recorded := await self._records.recall(effect)) is not None:
                return recorded
            metrics.TOOL_CALLS.labels(entry.name, "refused").inc()
            return await self._records.finish(effect, misfit(faults, entry.arguments.properties))
        check_clearance(entry.contract, arguments, clearance)
        await self._quota.take(principal, entry.name)
        question = Question(
            effect.tenant, principal.tier, entry.name, entry.contract.version, effect.arguments_hash
        )
        if entry.cache_ttl and (cached := await self._cache.get(question)) is not None:
            cached.from_cache, cached.price_microusd = True, 0
            cached.ClearField("elapsed")
            metrics.TOOL_CALLS.labels(entry.name, "cached").inc()
            return await self._records.finish(effect, cached)
        async with entry.bulkhead:
            if time.monotonic() >= until:
                raise MalhaError(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, "no time is left to run a tool")
            if (recorded := await self._records.begin(effect)) is not None:
                metrics.TOOL_CALLS.labels(entry.name, "recorded").inc()
                return recorded
            metrics.TOOL_CALLS.labels(entry.name, "ran").inc()
            result = await act(entry, arguments, principal, _stable(step), until - time.monotonic())
            result = await self._records.finish(effect, result)
        if entry.cache_ttl and not result.error_reason and not result.partial:
            await self._cache.keep(question, result, entry.cache_ttl)
        return result


def _own(principal: Principal, key: str) -> StepKey:
    """The parts of a key of the principal's own tenant."""
    try:
        step = parse_step_key(key)
    except ValueError:
        raise invalid("key", "must be tenant/run/step/epoch/leg") from None
    if step.tenant != principal.tenant:
        raise invalid("key", "must begin with the caller's own tenant")
    return step


def _stable(step: StepKey) -> str:
    """What all attempts at one step share."""
    return f"{step.tenant}/{step.run_id}/{step.step}"


def _parsed(arguments_json: str) -> tuple[Any, bytes]:
    """The arguments, and one spelling for all that mean the same. What is no JSON, or none that can be
    kept, stands as its text, which no tool takes for an object: the model is told like of any misfit."""
    try:
        arguments = orjson.loads(arguments_json or "{}")
        if _LONG_NUMBER.search(arguments_json):
            json.loads(arguments_json, parse_int=_exact)
        return arguments, orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS)
    except (ValueError, TypeError, RecursionError):  # TypeError: nested deeper than what is written back
        return arguments_json, arguments_json.encode()


def _exact(digits: str) -> int:
    """The integer. ValueError where it would be read as another: beyond 64 bits it would be rounded."""
    if not -(2**63) <= int(digits) < 2**64:
        raise ValueError(digits)
    return int(digits)
