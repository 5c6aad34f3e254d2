"""Access before anything, each effect at most once, and a record that survives every crash."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest

from malha.api.common.v1.principal_pb2 import Principal, Tier
from malha.api.run.v1.record_pb2 import Effect, Risk, StepOutcome
from malha.api.tools.v1.tools_service_pb2 import ExecuteRequest, Resolution, ToolResult
from malha.clock import SystemClock
from malha.errors import ErrorReason, MalhaError
from malha.run.keys import run_id_for, step_key
from malha.testing.limits import MemoryCache
from malha.testing.tools import Gate, ToldTool
from malha_tools.adapters.result_cache import CachedResults
from malha_tools.adapters.sqlite_effects import SqliteEffectRecords
from malha_tools.execution import Execution
from malha_tools.ports import NoQuota
from malha_tools.registry import Registry

RESULT = Resolution.RESOLUTION_RESULT
TOMBSTONED = Resolution.RESOLUTION_TOMBSTONED
UNKNOWN = Resolution.RESOLUTION_UNKNOWN


def key(step: int = 1, *, tenant: str = "acme", epoch: int = 7, leg: int = 1) -> str:
    return step_key(tenant, run_id_for(tenant, "run"), step, epoch, leg)


class Bench:
    """An execution over real records in a file."""

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
        request = ExecuteRequest(
            key=at,
            tool=tool,
            arguments_json=arguments if isinstance(arguments, str) else json.dumps(arguments or {}),
            allowed_tools=[tool] if allowed is None else allowed,
        )
        principal = Principal(tenant=tenant, subject="ana", tier=tier)
        return await self.execution.execute(principal, request, time.monotonic() + seconds)

    async def resolve(self, at: str) -> Resolution:
        response = await self.execution.resolve(Principal(tenant="acme"), at)
        return response.resolution

    async def rows(self) -> list[tuple[Any, ...]]:
        return await self.database.read(
            lambda c: [tuple(r) for r in c.execute("SELECT tenant, key, state FROM effects ORDER BY key")]
        )


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path / "tools.db")
    await bench.open()
    yield bench
    async with asyncio.timeout(5):
        await bench.execution.close()
    await bench.database.close()


async def refused(call: Awaitable[ToolResult]) -> str:
    with pytest.raises(MalhaError) as error:
        await call
    return error.value.reason_name


# Access


async def test_a_tool_the_agent_does_not_list_is_refused_before_anything_runs(bench: Bench) -> None:
    assert await refused(bench.execute("once", key(), allowed=["read"])) == "TOOL_NOT_FOUND"
    assert await refused(bench.execute("once", key(), allowed=[])) == "TOOL_NOT_FOUND"
    assert bench.once.ran == []
    assert await bench.rows() == []


async def test_a_tool_above_the_tier_is_refused_in_the_words_of_one_that_does_not_exist(bench: Bench) -> None:
    messages = set()
    for tool, tier in (("paid", Tier.TIER_FREE), ("paid", Tier.TIER_UNSPECIFIED), ("nothing", Tier.TIER_PRO)):
        with pytest.raises(MalhaError) as error:
            await bench.execute(tool, key(), tier=tier)
        assert error.value.reason == ErrorReason.ERROR_REASON_TOOL_NOT_FOUND
        messages.add(error.value.message)
    assert len(messages) == 1
    assert bench.paid.ran == []
    result = await bench.execute("paid", key(), tier=Tier.TIER_ENTERPRISE)
    assert (result.outcome, result.price_microusd) == (StepOutcome.STEP_OUTCOME_OK, 70)


async def test_only_tools_within_the_tier_are_listed(bench: Bench) -> None:
    free = [tool.name for tool in bench.registry.within(Tier.TIER_UNSPECIFIED)]
    assert free == ["idempotent", "once", "plain", "read"]
    assert "paid" in [tool.name for tool in bench.registry.within(Tier.TIER_PRO)]


@pytest.mark.parametrize("bad", ["", "acme", key(tenant="other"), key() + "/1", "acme/x/1/1/1"])
async def test_a_key_that_is_not_the_tenants_own_is_refused(bench: Bench, bad: str) -> None:
    assert await refused(bench.execute("once", bad)) == "FIELD_INVALID"
    assert bench.once.ran == []
    with pytest.raises(MalhaError):
        await bench.resolve(bad)


# Arguments


async def test_arguments_against_the_schema_are_a_failure_that_names_them(bench: Bench) -> None:
    result = await bench.execute("once", key(), {"n": "seven"})
    assert (result.outcome, result.error_reason) == (StepOutcome.STEP_OUTCOME_FAILED, "FIELD_INVALID")
    assert "n: 'seven' is not of type 'integer'" in result.error_text
    assert "Its arguments are: n." in result.error_text
    assert bench.once.ran == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ('{"n":', "no JSON object"),
        ("x" * 5000, "no JSON object"),
        ('"n"', "no JSON object"),
        ("[1]", "is not of type 'object'"),
        ("7", "is not of type 'object'"),
        ('{"n": NaN}', "no JSON object"),
        ('{"n": 18446744073709551616}', "more than 64 bits"),
        ('{"n": -9223372036854775809}', "more than 64 bits"),
        ('{"n": ' + "9" * 5000 + "}", "more than 64 bits"),
        ('{"n": ' + "[" * 300 + "]" * 300 + "}", "nested too deeply"),
        ('{"n": ' + "[" * 5000 + "]" * 5000 + "}", "nested too deeply"),
        ('{"n": ' + "[" * 990 + "9" * 20 + "]" * 990 + "}", "nested too deeply"),
    ],
)
async def test_arguments_that_no_tool_can_be_given_are_a_failure_too(
    bench: Bench, arguments: str, why: str
) -> None:
    result = await bench.execute("once", key(), arguments)
    assert result.error_reason == "FIELD_INVALID"
    assert why in result.error_text
    assert len(result.error_text) < 1000
    assert bench.once.ran == []


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 10**18])
async def test_an_integer_reaches_the_tool_as_it_was_written(bench: Bench, number: int) -> None:
    await bench.execute("once", key(), f'{{"n": {number}}}')
    [(_, arguments, _)] = bench.once.ran
    assert repr(arguments["n"]) == str(number)


async def test_long_digits_in_a_text_are_no_number(bench: Bench) -> None:
    result = await bench.execute("once", key(), '{"n": "' + "9" * 40 + '"}')
    assert "is not of type 'integer'" in result.error_text


# At most once


async def test_a_known_key_answers_its_result_and_runs_nothing(bench: Bench) -> None:
    first = await bench.execute("once", key(), {"n": 1})
    await bench.crash()
    assert await bench.execute("once", key(), '{ "n" : 1 }') == first
    assert len(bench.once.ran) == 1
    assert await bench.resolve(key()) == RESULT


async def test_a_failure_is_recorded_like_any_result(bench: Bench) -> None:
    async def fail() -> str:
        raise MalhaError(ErrorReason.ERROR_REASON_TOOL_FAILED, "The line is busy.")

    bench.once.act = fail
    first = await bench.execute("once", key())
    assert (first.error_reason, first.error_text) == ("TOOL_FAILED", "The line is busy.")
    assert await bench.execute("once", key()) == first
    assert len(bench.once.ran) == 1


async def test_a_known_key_with_other_arguments_or_another_tool_is_a_conflict(bench: Bench) -> None:
    await bench.execute("once", key(), {"n": 1})
    assert await refused(bench.execute("once", key(), {"n": 2})) == "IDEMPOTENCY_CONFLICT"
    assert await refused(bench.execute("plain", key(), {"n": 1})) == "IDEMPOTENCY_CONFLICT"
    assert await refused(bench.execute("once", key(), {"n": "x"})) == "IDEMPOTENCY_CONFLICT"
    assert len(bench.once.ran) == 1


async def test_concurrent_calls_with_one_key_run_it_once(bench: Bench) -> None:
    gate = bench.once.act = Gate()
    calls = [asyncio.create_task(bench.execute("once", key(), {"n": 1})) for _ in range(10)]
    await gate.inside.wait()
    assert await refused(bench.execute("once", key(), {"n": 2})) == "IDEMPOTENCY_CONFLICT"
    gate.open.set()
    results = await asyncio.gather(*calls)
    assert len(bench.once.ran) == 1
    assert all(result == results[0] for result in results)


async def test_calls_with_different_keys_run_at_the_same_time(bench: Bench) -> None:
    barrier = asyncio.Barrier(8)

    async def meet() -> str:
        await barrier.wait()  # nobody passes unless all eight are inside
        return "met"

    bench.plain.act = meet
    results = await asyncio.gather(*(bench.execute("plain", key(step)) for step in range(1, 9)))
    assert {result.text for result in results} == {"met"}


# Crash windows


async def test_a_key_that_never_ran_is_closed_and_a_late_call_is_refused(bench: Bench) -> None:
    for step, tool in enumerate(("once", "idempotent", "read", "plain"), 1):
        assert await bench.resolve(key(step)) == TOMBSTONED
        assert await bench.resolve(key(step)) == TOMBSTONED
        await bench.crash()
        assert await refused(bench.execute(tool, key(step))) == "EFFECT_TOMBSTONED"
        assert await refused(bench.execute(tool, key(step), {"n": "x"})) == "EFFECT_TOMBSTONED"
    assert bench.once.ran == bench.idempotent.ran == bench.read.ran == bench.plain.ran == []


async def test_a_closed_key_refuses_a_cached_result_too(bench: Bench) -> None:
    await bench.execute("read", key(1))
    assert await bench.resolve(key(2)) == TOMBSTONED
    assert await refused(bench.execute("read", key(2))) == "EFFECT_TOMBSTONED"


async def test_a_once_effect_lost_in_the_act_is_unknown_and_never_runs_again(bench: Bench) -> None:
    gate = bench.once.act = Gate()
    call = asyncio.create_task(bench.execute("once", key()))
    await gate.inside.wait()
    await bench.crash()
    await asyncio.gather(call, return_exceptions=True)
    assert await bench.resolve(key()) == UNKNOWN
    assert await refused(bench.execute("once", key())) == "OUTCOME_UNKNOWN"
    assert len(bench.once.ran) == 1


@pytest.mark.parametrize("name", ["idempotent", "plain"])
async def test_a_repeatable_effect_lost_in_the_act_is_closed_and_runs_under_a_new_key(
    bench: Bench, name: str
) -> None:
    tool: ToldTool = getattr(bench, name)
    gate = tool.act = Gate()
    call = asyncio.create_task(bench.execute(name, key(epoch=7)))
    await gate.inside.wait()
    await bench.crash()
    await asyncio.gather(call, return_exceptions=True)
    assert await bench.resolve(key(epoch=7)) == TOMBSTONED
    assert await refused(bench.execute(name, key(epoch=7))) == "EFFECT_TOMBSTONED"
    gate.open.set()
    assert (await bench.execute(name, key(epoch=9))).text == "went through"
    # both attempts gave the tool the same key to hand on
    assert len({idempotency_key for _, _, idempotency_key in tool.ran}) == 1


async def test_a_repeatable_effect_lost_in_the_act_may_run_again_under_its_own_key(bench: Bench) -> None:
    gate = bench.idempotent.act = Gate()
    call = asyncio.create_task(bench.execute("idempotent", key()))
    await gate.inside.wait()
    await bench.crash()
    await asyncio.gather(call, return_exceptions=True)
    gate.open.set()
    assert (await bench.execute("idempotent", key())).text == "went through"


async def test_an_undeclared_error_of_a_once_tool_leaves_its_outcome_unknown(bench: Bench) -> None:
    async def explode() -> str:
        raise RuntimeError("connection reset by 10.0.0.7")

    bench.once.act = explode
    with pytest.raises(MalhaError) as error:
        await bench.execute("once", key())
    assert error.value.reason == ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN
    assert "10.0.0.7" not in error.value.message
    assert await bench.resolve(key()) == UNKNOWN


class Spent:
    """A quota with nothing left."""

    async def take(self, _principal: Principal, _tool: str) -> None:
        raise MalhaError(ErrorReason.ERROR_REASON_RATE_LIMITED, "too many calls")


async def in_a_new_process(bench: Bench, refusal: str) -> None:
    """What may have come over the service since a call was made: it refuses that call now."""
    await bench.crash()
    if refusal == "rate":
        bench.execution._quota = Spent()
    elif refusal == "leave":
        bench.registry._entries["once"].contract.risk = Risk.RISK_HIGH
    else:
        bench.once.contract.input_schema_json = '{"type": "object", "required": ["line"]}'
        bench.execution._registry = Registry([bench.once])


@pytest.mark.parametrize("refusal", ["rate", "leave", "schema"])
async def test_a_call_asked_again_is_not_refused_as_if_it_had_not_run(bench: Bench, refusal: str) -> None:
    first = await bench.execute("once", key())
    await in_a_new_process(bench, refusal)
    assert await bench.execute("once", key()) == first


@pytest.mark.parametrize("refusal", ["rate", "leave", "schema"])
async def test_a_call_lost_in_the_act_is_not_refused_as_if_it_had_not_run(bench: Bench, refusal: str) -> None:
    gate = bench.once.act = Gate()
    call = asyncio.create_task(bench.execute("once", key()))
    await gate.inside.wait()
    await in_a_new_process(bench, refusal)
    await asyncio.gather(call, return_exceptions=True)
    assert await refused(bench.execute("once", key())) == "OUTCOME_UNKNOWN"
    assert await bench.resolve(key()) == UNKNOWN


# Callers that go away


async def test_a_once_effect_goes_on_without_its_caller_and_its_result_is_known(bench: Bench) -> None:
    gate = bench.once.act = Gate()
    call = asyncio.create_task(bench.execute("once", key()))
    await gate.inside.wait()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    resolution = asyncio.create_task(bench.resolve(key()))
    await asyncio.sleep(0)
    assert not resolution.done()
    gate.open.set()
    assert await resolution == RESULT


async def test_reading_stops_when_the_last_caller_is_gone(bench: Bench) -> None:
    stopped = asyncio.Event()
    gate = Gate()

    async def read() -> str:
        try:
            return await gate()
        except asyncio.CancelledError:
            stopped.set()
            raise

    bench.plain.act = read
    calls = [asyncio.create_task(bench.execute("plain", key())) for _ in range(2)]
    await gate.inside.wait()
    calls[0].cancel()
    await asyncio.gather(calls[0], return_exceptions=True)
    assert not stopped.is_set()
    calls[1].cancel()
    await stopped.wait()
    assert await bench.resolve(key()) == TOMBSTONED


async def test_no_effect_begins_without_time_to_tell_of_it(bench: Bench) -> None:
    assert await refused(bench.execute("once", key(), seconds=0.05)) == "DEADLINE_EXCEEDED"
    assert bench.once.ran == []
    assert await bench.resolve(key()) == TOMBSTONED


# Races


async def test_of_a_resolve_and_an_execute_that_race_exactly_one_wins(bench: Bench) -> None:
    won: dict[str, int] = {"ran": 0, "closed": 0}
    for step in range(1, 101):
        before = len(bench.once.ran)
        call, resolution = bench.execute("once", key(step)), bench.resolve(key(step))
        order = (resolution, call) if step % 2 else (call, resolution)
        outcomes = await asyncio.gather(*order, return_exceptions=True)
        result, resolved = reversed(outcomes) if step % 2 else outcomes
        ran = len(bench.once.ran) - before
        if resolved == TOMBSTONED:
            assert isinstance(result, MalhaError)
            assert result.reason == ErrorReason.ERROR_REASON_EFFECT_TOMBSTONED
            assert ran == 0
            won["closed"] += 1
        else:
            assert resolved == RESULT
            assert isinstance(result, ToolResult)
            assert ran == 1
            won["ran"] += 1
    assert won["ran"]
    assert won["closed"]


async def test_a_resolve_that_meets_a_call_just_begun_waits_for_its_result(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window between Resolve's first look and its write: what began inside is under way, not unknown."""
    gate = bench.once.act = Gate()
    landed = bench.execution._flights.landed
    call: asyncio.Task[ToolResult] | None = None

    async def begin_in_between(tenant: str, at: str) -> None:
        nonlocal call
        await landed(tenant, at)
        if call is None:
            call = asyncio.create_task(bench.execute("once", key()))
            await gate.inside.wait()
            asyncio.get_running_loop().call_later(0.01, gate.open.set)

    monkeypatch.setattr(bench.execution._flights, "landed", begin_in_between)
    assert await bench.resolve(key()) == RESULT
    assert call is not None
    assert (await call).text == "went through"


# Cache


async def test_a_cached_result_has_no_second_effect_and_costs_nothing(bench: Bench) -> None:
    first = await bench.execute("read", key(1), {"n": 1})
    again = await bench.execute("read", key(2), '{"n":1}')
    assert len(bench.read.ran) == 1
    assert not first.from_cache
    assert (again.from_cache, again.text, again.price_microusd) == (True, first.text, 0)
    assert await bench.resolve(key(2)) == RESULT
    await bench.execute("read", key(3), {"n": 2})
    assert len(bench.read.ran) == 2


async def test_another_tenant_never_sees_a_cached_result(bench: Bench) -> None:
    await bench.execute("read", key(1))
    other = await bench.execute("read", key(1, tenant="other"), tenant="other")
    assert not other.from_cache
    assert [tenant for tenant, _, _ in bench.read.ran] == ["acme", "other"]


async def test_a_cached_result_is_its_tier_s_alone(bench: Bench) -> None:
    await bench.execute("read", key(1))
    paid = await bench.execute("read", key(2), tier=Tier.TIER_PRO)
    assert not paid.from_cache


async def test_another_version_of_a_tool_does_not_answer_with_what_the_last_one_said(bench: Bench) -> None:
    await bench.execute("read", key(1))
    bench.registry._entries["read"].contract.version = "next"
    assert not (await bench.execute("read", key(2))).from_cache


async def test_failures_and_partial_results_are_not_cached(bench: Bench) -> None:
    async def fail() -> str:
        raise MalhaError(ErrorReason.ERROR_REASON_TOOL_FAILED, "No.")

    bench.read.act = fail
    await bench.execute("read", key(1))
    bench.read.act = None
    bench.read.result.partial = True
    await bench.execute("read", key(2))
    bench.read.result.partial = False
    assert not (await bench.execute("read", key(3))).from_cache
    assert (await bench.execute("read", key(4))).from_cache


async def test_without_its_cache_it_works_on(bench: Bench) -> None:
    bench.cache.away = True
    await bench.execute("read", key(1))
    assert (await bench.execute("read", key(2))).outcome == StepOutcome.STEP_OUTCOME_OK
    assert len(bench.read.ran) == 2
